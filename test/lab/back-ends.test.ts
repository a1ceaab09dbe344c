import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BackEndStatus } from '../../src/core/back-end.ts';
import { suites } from './debian.ts';
import {
  expectServers,
  statusOf,
  stub,
  upstreamFile,
  withoutAutomaticProfiles,
  withoutResolved,
} from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { type Asked, startQuestioner, summaryOf } from './questioner.ts';
import { addVpnProfile, addVpnServer, type VpnServer } from './vpn.ts';

const LIE = '203.0.113.80';
const kinds = ['builtin', 'dnsmasq', 'unbound'] as const;
type Kind = (typeof kinds)[number];
const others = ['dnsmasq', 'unbound'] as const;

describe.each(suites)('who asks the servers on %s', (suite) => {
  let machine: Machine;
  let provider: Network;
  let company: VpnServer;
  const settings = '/etc/dnskeeper/conf.d/lab.toml';

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `back-ends-${suite}` });
    await withoutResolved(machine);
    await withoutAutomaticProfiles(machine);
    await installPackage(machine);
    provider = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
      answers: { '#': LIE },
      dnsmasq: [
        '--host-record=six.public.example,203.0.113.6,2001:db8::6',
        `--txt-record=long.public.example,${Array.from({ length: 9 }, (_, i) => String(i).repeat(200)).join(',')}`,
        '--local=/missing.example/',
      ],
    });
    company = await addVpnServer(provider, {
      dnsmasq: [
        '--address=/#/10.99.0.99',
        '--local=/corp.example/',
        '--host-record=intranet.corp.example,10.99.0.80',
        '--cname=portal.corp.example,www.public.example',
        '--host-record=www.public.example,10.99.0.66',
      ],
    });
    await machine.ok(
      'nmcli connection add type ethernet con-name cafe ifname eth-a ipv6.method disabled && nmcli connection up cafe',
    );
    await addVpnProfile(machine, company, { name: 'split', tunnel: 'split' });
  });

  afterAll(async () => {
    await company?.close();
    await provider?.close();
    await machine?.destroy();
  });

  const ask = (name: string, type = 'A', more = ''): Promise<string> =>
    machine.ok(`dig +short +time=4 +tries=1 ${more} @127.0.0.53 '${name}' ${type}`);

  const backEnd = async (): Promise<BackEndStatus | undefined> =>
    (await statusOf(machine)).status.resolver.backEnd;

  const has = (state: BackEndStatus['state'], words = ''): Promise<void> =>
    machine.until(
      `dnsctl status --json | grep -A3 '"backEnd"' | grep -q '"state": "${state}"'${words === '' ? '' : ` && dnsctl status | grep -q '${words}'`}`,
      `the back end is ${state}${words === '' ? '' : ` (${words})`}`,
    );

  async function choose(kind: Kind, more = ''): Promise<void> {
    await machine.writeFile(settings, `[resolver]\nmode = "stub"\nbackend = "${kind}"\n${more}`);
    await machine.ok('dnsctl reload');
    if (kind === 'builtin') {
      await machine.until('! dnsctl status --json | grep -q \'"backEnd"\'', 'there is no other resolver');
    } else {
      await machine.until(`dnsctl status | grep -q 'through ${kind}'`, `names go through ${kind}`);
    }
    await expectServers(machine, stub);
    await forget();
  }

  async function forget(): Promise<void> {
    await machine.ok('dnsctl flush');
    provider.takeQueries();
    company.takeQueries();
  }

  async function tunnel(state: 'up' | 'down'): Promise<void> {
    await machine.ok(`nmcli connection ${state} split`);
    const there = `grep -q ${company.dns} ${upstreamFile}`;
    await machine.until(state === 'up' ? there : `! ${there}`, `the tunnel is ${state}`);
  }

  describe.each(kinds)('%s', (kind) => {
    beforeAll(async () => {
      await choose(kind);
      await tunnel('up');
    });

    beforeEach(async () => {
      if (kind !== 'builtin') await has('carrying');
      await forget();
    });

    afterAll(async () => {
      await machine?.run('nmcli connection down split');
    });

    test('asks each network for its own names only', async () => {
      const own = ['intranet.corp.example', 'a.b.corp.example', 'IntraNet.corp.EXAMPLE'];
      const public_ = ['www.public.example', 'notcorp.example', 'corp.example.net'];
      for (const name of [...own, ...public_])
        for (const type of ['A', 'AAAA', 'MX', 'TYPE65']) await ask(name, type);
      expect(new Set(company.takeQueries().map(({ name }) => name))).toEqual(lowerCase(own));
      expect(new Set(provider.takeQueries().map(({ name }) => name))).toEqual(lowerCase(public_));
    });

    test('gives what the owner of a name says, over UDP and TCP, long and short', async () => {
      expect(await ask('intranet.corp.example')).toBe('10.99.0.80');
      expect(await ask('intranet.corp.example', 'A', '+tcp')).toBe('10.99.0.80');
      expect(await ask('other.public.example')).toBe(LIE);
      expect(await ask('six.public.example', 'AAAA')).toBe('2001:db8::6');
      expect((await ask('long.public.example', 'TXT')).length).toBeGreaterThan(1800);
      expect(await machine.ok('dig +time=4 +tries=1 @127.0.0.53 no.missing.example')).toContain(
        'status: NXDOMAIN',
      );
      expect(await machine.ok('dig +time=4 +tries=1 @127.0.0.53 intranet.corp.example AAAA')).toMatch(
        /status: NOERROR[\s\S]*ANSWER: 0/,
      );
      expect(await machine.ok('getent ahostsv4 intranet.corp.example')).toContain('10.99.0.80');
    });

    test('asks for addresses of a range where the range belongs, private or not', async () => {
      expect(await ask('80.0.99.10.in-addr.arpa', 'PTR')).toBe('intranet.corp.example.');
      await ask('80.113.0.203.in-addr.arpa', 'PTR');
      await ask('7.7.168.192.in-addr.arpa', 'PTR');
      expect(new Set(company.takeQueries().map(({ name }) => name))).toEqual(
        new Set(['80.0.99.10.in-addr.arpa']),
      );
      expect(new Set(provider.takeQueries().map(({ name }) => name))).toEqual(
        new Set(['80.113.0.203.in-addr.arpa', '7.7.168.192.in-addr.arpa']),
      );
    });

    test('has an alias of the company for a public name looked up in the public', async () => {
      expect(await ask('portal.corp.example')).toMatch(new RegExp(`\\n${LIE.replaceAll('.', '\\.')}$`));
      expect(provider.takeQueries().map(({ name }) => name)).toContain('www.public.example');
    });

    test('keeps to the plan as the tunnel goes and comes under questions', async () => {
      const names = ['{fresh}.intranet.corp.example', '{fresh}.public.example'];
      await using questioner = await startQuestioner(machine, { intervalMs: 20, names });
      for (let round = 0; round < 2; round++) {
        await tunnel('down');
        await questioner.more(40);
        company.takeQueries();
        provider.takeQueries();
        await questioner.more(40);
        expect(company.takeQueries(), 'at the company, without its tunnel').toEqual([]);
        await tunnel('up');
        await questioner.more(20);
        if (kind !== 'builtin') await has('carrying');
        provider.takeQueries();
        await questioner.more(40);
        expect(isCompanys(provider.takeQueries()), 'at the provider, with the tunnel').toEqual([]);
      }
      const answers = await questioner.stop();
      process.stdout.write(`${suite}, ${kind}, 2 flaps: ${summaryOf(answers)}\n`);
      expect(unanswered(answers).filter(({ name }) => !name.includes('corp'))).toEqual([]);
    });
  });

  describe.each(others)('%s', (kind) => {
    beforeEach(async () => {
      await choose(kind);
    });

    afterEach(async () => {
      await machine.run(`test -e /usr/sbin/${kind}.away && mv /usr/sbin/${kind}.away /usr/sbin/${kind}`);
      await machine.run(`rm -rf /etc/dnskeeper/${kind}.d`);
      await choose('builtin');
    });

    const questions = { intervalMs: 10, names: ['{fresh}.public.example'] };
    const pid = `pgrep -P $(systemctl show -P MainPID dnskeeper) -x ${kind}`;

    test('that is killed again and again costs no name, and comes back', async () => {
      await using questioner = await startQuestioner(machine, questions);
      for (let time = 0; time < 3; time++) {
        const before = await machine.ok(pid);
        await machine.ok(`kill -KILL ${before}`);
        await machine.until(`test "$(${pid})" != ${before} && ${pid}`, 'another one runs');
        await has('carrying');
        await questioner.more(50);
      }
      const answers = await questioner.stop();
      process.stdout.write(`${suite}, ${kind} killed three times: ${summaryOf(answers)}\n`);
      expect(unanswered(answers)).toEqual([]);
      expect(await ask('x.public.example')).toBe(LIE);
    });

    test('that hangs is found out by the questions it leaves open, and replaced', async () => {
      const before = await machine.ok(pid);
      await machine.ok(`kill -STOP ${before}`);
      await using questioner = await startQuestioner(machine, { ...questions, intervalMs: 100 });
      await machine.until(`! kill -0 ${before}`, 'it was ended');
      await has('carrying');
      await questioner.more(10);
      await forget();
      expect(await ask('y.public.example')).toBe(LIE);
    });

    test('that is missing leaves names to the built-in resolver, and status says so', async () => {
      await machine.ok(`mv /usr/sbin/${kind} /usr/sbin/${kind}.away && kill -KILL $(${pid})`);
      await has('failed', `there is no program ${kind}`);
      expect(await machine.ok('getent ahostsv4 z.public.example')).toContain(LIE);
      await expectServers(machine, stub);
      expect((await statusOf(machine)).status.findings).toContainEqual(
        expect.objectContaining({ id: 'back-end-failed', severity: 'warning' }),
      );
    });

    test('whose own settings are wrong leaves names to the built-in resolver, and status has its words', async () => {
      await machine.ok(`mkdir -p /etc/dnskeeper/${kind}.d`);
      await machine.writeFile(`/etc/dnskeeper/${kind}.d/bad.conf`, 'no-such-setting: nonsense\n');
      await machine.ok(`kill -KILL $(${pid})`);
      await has('failed', 'bad.conf');
      expect(await ask('u.public.example')).toBe(LIE);
    });

    test('takes settings of the administrator', async () => {
      await machine.ok(`mkdir -p /etc/dnskeeper/${kind}.d`);
      await machine.writeFile(
        `/etc/dnskeeper/${kind}.d/ads.conf`,
        kind === 'dnsmasq'
          ? 'address=/ads.example/192.0.2.66\n'
          : 'server:\n  local-zone: ads.example. redirect\n  local-data: "ads.example. A 192.0.2.66"\n',
      );
      await machine.ok('systemctl restart dnskeeper');
      await has('carrying');
      expect(await ask('pixel.ads.example')).toBe('192.0.2.66');
      expect(await ask('v.public.example')).toBe(LIE);
    });

    test('goes and comes with the daemon, however that ends', async () => {
      for (const command of ['systemctl kill --signal=KILL dnskeeper', 'systemctl restart dnskeeper']) {
        const before = await machine.ok(pid);
        await machine.ok(`systemctl reset-failed && ${command}`);
        await machine.until(`! kill -0 ${before}`, 'the old one is gone');
        await has('carrying');
        expect(await machine.ok(`pgrep -x ${kind} | wc -l`)).toBe('1');
      }
      await machine.ok('systemctl stop dnskeeper');
      expect(await machine.ok(`pgrep -x ${kind} | wc -l`)).toBe('0');
      await machine.ok('systemctl start dnskeeper');
    });

    test('gives way where a network asks for what it cannot do, and comes back after it', async () => {
      await machine.writeFile(
        settings,
        `[resolver]\nmode = "stub"\nbackend = "${kind}"\ndns-over-tls = "yes"\n`,
      );
      await machine.ok('dnsctl reload');
      await has('unfit', 'TLS');
      await choose(kind);
      expect(await ask('w.public.example')).toBe(LIE);
    });
  });

  test('one is exchanged for another under questions, and none is lost', async () => {
    await choose('builtin');
    await using questioner = await startQuestioner(machine, {
      intervalMs: 10,
      names: ['{fresh}.public.example'],
    });
    for (const kind of ['dnsmasq', 'unbound', 'builtin', 'unbound', 'dnsmasq', 'builtin'] as const) {
      await choose(kind);
      await questioner.more(50);
    }
    const answers = await questioner.stop();
    process.stdout.write(`${suite}, six changes of the back end: ${summaryOf(answers)}\n`);
    expect(unanswered(answers)).toEqual([]);
    expect(await backEnd()).toBeUndefined();
  });
});

const lowerCase = (names: readonly string[]): ReadonlySet<string> =>
  new Set(names.map((name) => name.toLowerCase()));

const unanswered = (answers: readonly Asked[]): readonly Asked[] =>
  answers.filter(({ rcode }) => rcode === undefined || rcode === 2);

const isCompanys = (queries: readonly { readonly name: string }[]): readonly string[] =>
  queries.map(({ name }) => name).filter((name) => name.endsWith('corp.example'));

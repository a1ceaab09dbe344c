import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { suites } from './debian.ts';
import {
  expectStubAsNetworkManager,
  ourFile,
  withoutAutomaticProfiles,
  withoutResolved,
} from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import type { LoggedQuery } from './query-log.ts';
import { type Asked, startQuestioner, summaryOf } from './questioner.ts';
import { addVpnProfile, addVpnServer, type VpnServer } from './vpn.ts';

/** The provider lies about every name, so whatever it is asked shows in the answer as well. */
const PROVIDER = { dns: ['10.20.0.1', '10.20.0.2'], lie: '203.0.113.80' };
/** The company's server lies about names that are not its own, and knows only these of its own. */
const COMPANY = { intranet: '10.99.0.80', lie: '10.99.0.99' };

describe.each(suites)('split DNS, by what the servers of each network saw, on %s', (suite) => {
  let machine: Machine;
  let provider: Network;
  let company: VpnServer;
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `split-${suite}` });
    await withoutResolved(machine);
    await withoutAutomaticProfiles(machine);
    await installPackage(machine);
    provider = await addNetwork(machine, {
      link: 'eth-a',
      ipv4: { prefix: '10.20.0', dns: PROVIDER.dns },
      search: ['cafe.example'],
      answers: { '#': PROVIDER.lie },
      dnsmasq: [
        '--cname=mail.public.example,intranet.corp.example',
        '--host-record=intranet.corp.example,203.0.113.66',
      ],
    });
    open.push(provider);
    company = await addVpnServer(provider, {
      dnsmasq: [
        ...['--local=/corp.example/', `--address=/#/${COMPANY.lie}`],
        ...['--cname=portal.corp.example,www.public.example', '--host-record=www.public.example,10.99.0.66'],
        ...['--host-record=intranet.corp.example,10.99.0.80', '--host-record=x.lan.corp.example,10.99.0.82'],
      ],
    });
    open.push(company);
    await machine.ok(
      'nmcli connection add type ethernet con-name cafe ifname eth-a ipv6.method disabled ipv4.route-metric 100',
    );
    await machine.ok('nmcli connection up cafe');
    await addVpnProfile(machine, company, { name: 'split', tunnel: 'split' });
    await addVpnProfile(machine, company, { name: 'full', tunnel: 'full' });
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    await machine?.destroy();
  });

  const ask = async (name: string, type = 'A'): Promise<string> =>
    machine.ok(`dig +short +time=15 +tries=1 @127.0.0.53 '${name}' ${type}`);

  /** What both were asked since the last look. */
  const seen = (): { provider: readonly LoggedQuery[]; company: readonly LoggedQuery[] } => ({
    provider: provider.takeQueries(),
    company: company.takeQueries(),
  });

  /** What both were asked, once each has told more than so many; their logs come a little later. */
  async function seenByBoth(count: number): Promise<{ provider: LoggedQuery[]; company: LoggedQuery[] }> {
    const all: Awaited<ReturnType<typeof seenByBoth>> = { provider: [], company: [] };
    await until(() => {
      const now = seen();
      all.provider.push(...now.provider);
      all.company.push(...now.company);
      return Math.min(all.provider.length, all.company.length) > count;
    }, `both servers have told of more than ${count} questions`);
    return all;
  }

  /** NetworkManager has said that the tunnel is down before everybody else knows. */
  const outOfForce = (): Promise<void> =>
    machine.until(`! grep -q ${company.dns} /run/dnskeeper/upstream.conf`, 'the tunnel is out of force');

  describe('with a split tunnel', () => {
    beforeAll(async () => {
      await machine.ok('nmcli connection up split');
      await expectStubAsNetworkManager(machine, [company.dns, ...PROVIDER.dns]);
    });

    afterAll(async () => {
      await machine?.run('nmcli connection down split');
      await outOfForce();
    });

    beforeEach(async () => {
      await machine.ok('dnsctl flush');
      seen();
    });

    afterEach(() => {
      expectApart(seen());
    });

    test.each(['A', 'AAAA', 'TXT', 'MX', 'SRV', 'TYPE64', 'TYPE65', 'CAA', 'SOA', 'DS'])(
      'asks each network for its own names only: %s',
      async (type) => {
        const own = ['intranet.corp.example', 'InTraNet.cOrp.EXAMPLE', 'corp.example', 'a.b.c.corp.example'];
        const others = [
          'www.public.example',
          'notcorp.example',
          'corp.example.net',
          'example',
          'x.cafe.example',
        ];
        for (const name of [...own, ...others]) await ask(name, type);
        const { provider: atProvider, company: atCompany } = seen();
        expectApart({ provider: atProvider, company: atCompany });
        expect(new Set(atCompany.map(({ name }) => name))).toEqual(lowerCase(own));
        // Single labels have no addresses that servers are asked for.
        const asked = others.filter((name) => name.includes('.') || !/^A+$/.test(type));
        expect(new Set(atProvider.map(({ name }) => name))).toEqual(lowerCase(asked));
      },
    );

    test('gives what the owner of a name says', async () => {
      expect(await ask('intranet.corp.example')).toBe(COMPANY.intranet);
      expect(await ask('www.public.example')).toBe(PROVIDER.lie);
      expect(await machine.ok('dig +tcp +short @127.0.0.53 intranet.corp.example')).toBe(COMPANY.intranet);
      expect(await machine.ok('host intranet.corp.example')).toContain(COMPANY.intranet);
      expect(await machine.ok('getent ahostsv4 www.public.example')).toContain(PROVIDER.lie);
      const { provider: atProvider, company: atCompany } = seen();
      expectApart({ provider: atProvider, company: atCompany });
      expect(atCompany).toContainEqual({ name: 'intranet.corp.example', type: 'A' });
      expect(atProvider).toContainEqual({ name: 'www.public.example', type: 'A' });
    });

    test('asks for addresses of a range where the range belongs', async () => {
      expect(await ask('80.0.99.10.in-addr.arpa', 'PTR')).toBe('intranet.corp.example.');
      await machine.run('getent hosts 10.99.0.77');
      await ask('80.113.0.203.in-addr.arpa', 'PTR');
      const { provider: atProvider, company: atCompany } = seen();
      expectApart({ provider: atProvider, company: atCompany });
      expect(names(atCompany)).toEqual(['77.0.99.10.in-addr.arpa', '80.0.99.10.in-addr.arpa']);
      expect(names(atProvider)).toEqual(['80.113.0.203.in-addr.arpa']);
    });

    test('tries search domains each in its own network, and no bare label anywhere', async () => {
      expect(await machine.ok('getent ahostsv4 intranet')).toContain(COMPANY.intranet);
      expect(await machine.ok('getent ahostsv4 printer')).toContain(PROVIDER.lie);
      const { provider: atProvider, company: atCompany } = seen();
      expectApart({ provider: atProvider, company: atCompany });
      expect(names(atCompany)).toEqual(['intranet.corp.example', 'printer.corp.example']);
      expect(names(atProvider)).toEqual(['printer.cafe.example']);
    });

    test('asks anew, in the right network, where an alias leads into the other', async () => {
      expect(await ask('portal.corp.example'), 'a company name that is a public one').toMatch(
        new RegExp(`\\n${PROVIDER.lie.replaceAll('.', '\\.')}$`),
      );
      expect(await ask('mail.public.example'), 'a public name that is a company one').toMatch(
        new RegExp(`\\n${COMPANY.intranet.replaceAll('.', '\\.')}$`),
      );
      const { provider: atProvider, company: atCompany } = seen();
      expectApart({ provider: atProvider, company: atCompany });
      expect(names(atCompany)).toEqual(['intranet.corp.example', 'portal.corp.example']);
      expect(names(atProvider)).toEqual(['mail.public.example', 'www.public.example']);
    });

    test.each([
      { what: 'restarts', command: 'systemctl restart dnskeeper' },
      { what: 'is killed', command: 'systemctl kill --signal=KILL dnskeeper' },
      { what: 'reads its configuration again', command: 'dnsctl reload' },
    ])('lets nothing out by the wrong way while the daemon $what under questions', async ({ command }) => {
      await using questioner = await startQuestioner(machine, { intervalMs: 10, names: both });
      // systemd gives up on a unit that starts five times in ten seconds.
      await machine.ok('systemctl reset-failed');
      await questioner.more(100);
      await machine.ok(command);
      await machine.until('dnsctl status', 'all is well again');
      await questioner.more(100);
      const answers = await questioner.stop();
      expectRight(answers);
      expectApart(await seenByBoth(20));
    });
  });

  test('forgets what the other network said as the tunnel goes up and down, however warm the cache is', async () => {
    const name = 'intranet.corp.example';
    for (let round = 0; round < 3; round++) {
      for (let time = 0; time < 3; time++) expect(await ask(name), 'without the tunnel').toBe('203.0.113.66');
      await machine.ok('nmcli connection up split');
      await expectStubAsNetworkManager(machine, [company.dns, ...PROVIDER.dns]);
      for (let time = 0; time < 3; time++) expect(await ask(name), 'with it').toBe(COMPANY.intranet);
      await machine.ok('nmcli connection down split');
      await outOfForce();
    }
  });

  test('keeps the networks apart while the tunnel flaps under questions', async () => {
    await using questioner = await startQuestioner(machine, { intervalMs: 5, names: both });
    const phases: { readonly from: number; readonly to: number; readonly up: boolean }[] = [];
    for (let round = 0; round < 5; round++) {
      await machine.ok('nmcli connection up split');
      await expectStubAsNetworkManager(machine, [company.dns, ...PROVIDER.dns]);
      // What was sent before the tunnel was up may be in the provider's log a moment later; its server keeps the order.
      await questioner.more(20);
      seen();
      const from = Date.now();
      await questioner.more(100);
      phases.push({ from, to: Date.now(), up: true });
      expectApart(await seenByBoth(10));
      await machine.ok('nmcli connection down split');
      await outOfForce();
      const down = Date.now();
      await questioner.more(100);
      phases.push({ from: down, to: Date.now(), up: false });
      // OpenVPN may still hand over what was on its way.
      expect(names(company.takeQueries()).filter((name) => !isCompanys(name))).toEqual([]);
    }
    const answers = await questioner.stop();
    for (const { from, to, up } of phases) {
      // One that is under way when the tunnel goes down may be answered by either.
      const then = answers.filter(({ at, tookMs }) => at >= from && at + tookMs < to);
      expect(then.length).toBeGreaterThan(50);
      if (up) expectRight(then);
      else
        for (const { name, addresses } of then)
          expect(addresses, `${name} without the tunnel`).not.toContain(COMPANY.intranet);
    }
    // Whatever the moment, nobody is told the company's word about others' names.
    expect(answers.filter(({ addresses }) => addresses.includes(COMPANY.lie))).toEqual([]);
    const unanswered = answers.filter(({ rcode }) => rcode === undefined || rcode === 2);
    process.stdout.write(`${suite}, 5 flaps: ${summaryOf(answers)}\n`);
    expect(unanswered.filter(({ name }) => !isCompanys(name))).toEqual([]);
  });

  test('lets nothing at all out beside a full tunnel whose priority is negative', async () => {
    await machine.ok('nmcli connection modify full ipv4.dns-priority -10 && nmcli connection up full');
    await using closing = new AsyncDisposableStack();
    closing.defer(async () => {
      await machine.ok('nmcli connection down full && nmcli connection modify full ipv4.dns-priority 0');
      await machine.ok('rm -f /etc/dnskeeper/conf.d/lab.toml && dnsctl reload');
    });
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[resolver]\nmode = "stub"\n');
    await machine.ok('dnsctl reload');
    await expectStubAsNetworkManager(machine, [company.dns]);
    await machine.ok('dnsctl flush');
    seen();
    await using questioner = await startQuestioner(machine, { intervalMs: 10, names: both });
    expect(await ask('intranet.corp.example')).toBe(COMPANY.intranet);
    for (const name of ['www.public.example', 'x.cafe.example', 'cafe.example']) await ask(name);
    await ask('1.0.20.10.in-addr.arpa', 'PTR');
    await machine.ok('systemctl reset-failed && systemctl restart dnskeeper');
    await machine.until('dnsctl status', 'all is well again');
    await questioner.more(100);
    const { provider: atProvider, company: atCompany } = seen();
    expect(atProvider, 'at the provider').toEqual([]);
    expect(names(atCompany)).toContain('x.cafe.example');
    expect(names(atCompany)).toContain('1.0.20.10.in-addr.arpa');
  });

  test('leaves names below its own to a network that claims them, unless the priority of the tunnel is negative', async () => {
    const name = 'x.lan.corp.example';
    await machine.ok('nmcli connection modify cafe ipv4.dns-search lan.corp.example');
    await using closing = new AsyncDisposableStack();
    closing.defer(async () => {
      await machine.ok('nmcli connection down split && nmcli connection modify split ipv4.dns-priority 0');
      await machine.ok("nmcli connection modify cafe ipv4.dns-search '' && nmcli connection up cafe");
    });
    await machine.ok('nmcli connection up cafe && nmcli connection up split');
    await machine.until(`dnsctl explain ${name} | grep -q eth-a`, 'the network has its domain');
    seen();
    expect(await ask(name)).toBe(PROVIDER.lie);
    // A late answer lets a copy of the question go out.
    const { provider: atProvider, company: atCompany } = seen();
    expect(names(atProvider)).toEqual([name]);
    expect(atCompany).toEqual([]);
    await machine.ok('nmcli connection down split && nmcli connection modify split ipv4.dns-priority -10');
    await machine.ok('nmcli connection up split');
    await machine.until(`dnsctl explain ${name} | grep -q tun`, 'the tunnel owns all below its domain');
    seen();
    expect(await ask(name)).toBe('10.99.0.82');
    expect(await ask('www.public.example')).toBe(PROVIDER.lie);
    expect(names(seen().provider)).toEqual(['www.public.example']);
  });

  test('sends everything into a full tunnel but the names of the network itself', async () => {
    await machine.writeFile('/etc/dnskeeper/conf.d/lab.toml', '[resolver]\nmode = "stub"\n');
    await machine.ok('dnsctl reload && nmcli connection up full');
    await using closing = new AsyncDisposableStack();
    closing.defer(async () => {
      await machine.ok('rm /etc/dnskeeper/conf.d/lab.toml && dnsctl reload && nmcli connection down full');
    });
    await expectStubAsNetworkManager(machine, [company.dns, ...PROVIDER.dns]);
    await machine.ok('dnsctl flush');
    seen();
    expect(await ask('www.elsewhere.example')).toBe(COMPANY.lie);
    expect(await ask('intranet.corp.example')).toBe(COMPANY.intranet);
    expect(await ask('printer.cafe.example')).toBe(PROVIDER.lie);
    const { provider: atProvider, company: atCompany } = seen();
    expect(names(atProvider)).toEqual(['printer.cafe.example']);
    expect(names(atCompany)).toEqual(['intranet.corp.example', 'www.elsewhere.example']);
  });

  describe('with two networks that look alike', () => {
    const twins: Network[] = [];
    const profile = (link: string, settings: string): Promise<string> =>
      machine.ok(
        `nmcli connection add type ethernet con-name ${link} ifname ${link} ipv6.method disabled ` +
          `connection.autoconnect no ipv4.ignore-auto-dns yes ipv4.dns 10.40.0.1 ${settings} && ` +
          `nmcli connection up ${link}`,
      );

    beforeAll(async () => {
      for (const [link, lie] of [
        ['eth-b', '198.51.100.2'],
        ['eth-c', '198.51.100.3'],
      ] as const) {
        const answers = { '#': lie, 'only-c.shared.example': link === 'eth-c' ? lie : '' };
        twins.push(await addNetwork(machine, { link, ipv4: { prefix: '10.40.0' }, answers }));
      }
      open.push(...twins);
      await profile('eth-b', 'ipv4.never-default yes ipv4.dns-search "~b.example,~shared.example"');
      await profile('eth-c', 'ipv4.never-default yes ipv4.dns-search "~c.example,~shared.example"');
      await machine.until(
        `test "$(sed -n 's/^nameserver //p' ${ourFile})" = 127.0.0.53`,
        'the resolver is in force',
      );
      await machine.until('dnsctl explain x.c.example | grep -q eth-c', 'both networks are in force');
    });

    afterAll(async () => {
      await machine?.run('nmcli connection delete eth-b eth-c');
    });

    test('asks the same server address over the link that a name belongs to', async () => {
      for (const twin of twins) twin.takeQueries();
      seen();
      expect(await ask('x.b.example')).toBe('198.51.100.2');
      expect(await ask('x.c.example')).toBe('198.51.100.3');
      expect(await ask('www.public.example')).toBe(PROVIDER.lie);
      expect(twins.map((twin) => names(twin.takeQueries()))).toEqual([['x.b.example'], ['x.c.example']]);
      expect(names(seen().provider)).toEqual(['www.public.example']);
    });

    test('asks both for a name that both claim, and believes the one that knows it', async () => {
      for (const twin of twins) twin.takeQueries();
      seen();
      expect(await ask('only-c.shared.example')).toBe('198.51.100.3');
      expect(twins.map((twin) => names(twin.takeQueries()))).toEqual([
        ['only-c.shared.example'],
        ['only-c.shared.example'],
      ]);
      expect(names(seen().provider)).toEqual([]);
    });

    test('asks only the one with the better priority for a name that both claim', async () => {
      await machine.ok('nmcli connection modify eth-b ipv4.dns-priority 60 && nmcli connection up eth-b');
      await machine.until(
        'dnsctl status --json | grep -q \'"priority": 60\'',
        'the better priority is in force',
      );
      for (const twin of twins) twin.takeQueries();
      expect(await ask('fresh.shared.example')).toBe('198.51.100.2');
      expect(twins.map((twin) => names(twin.takeQueries()))).toEqual([['fresh.shared.example'], []]);
    });
  });
});

/** Names of both networks, some of them new each time, so that the cache hides nothing. */
const both = [
  'intranet.corp.example',
  '{fresh}.corp.example',
  'www.public.example',
  '{fresh}.public.example',
];

const isCompanys = (name: string): boolean => /(^|\.)(corp\.example|0\.99\.10\.in-addr\.arpa)$/.test(name);

const names = (queries: readonly LoggedQuery[]): string[] =>
  [...new Set(queries.map(({ name }) => name))].sort();

const lowerCase = (all: readonly string[]): Set<string> => new Set(all.map((name) => name.toLowerCase()));

function expectApart(seen: {
  readonly provider: readonly LoggedQuery[];
  readonly company: readonly LoggedQuery[];
}): void {
  expect(names(seen.provider).filter(isCompanys), "the company's names at the provider").toEqual([]);
  expect(
    names(seen.company).filter((name) => !isCompanys(name)),
    "others' names at the company",
  ).toEqual([]);
}

/** Every answer is its owner's; one that never came is no wrong one. */
function expectRight(answers: readonly Asked[]): void {
  for (const { name, rcode, addresses } of answers) {
    if (rcode === undefined || rcode === 2) continue;
    const [wanted, rcodeWanted] = isCompanys(name)
      ? name.startsWith('intranet')
        ? [[COMPANY.intranet], 0]
        : [[], 3]
      : [[PROVIDER.lie], 0];
    expect({ name, rcode, addresses }).toEqual({ name, rcode: rcodeWanted, addresses: wanted });
  }
}

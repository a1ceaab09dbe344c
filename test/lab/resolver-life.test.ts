import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { suites } from './debian.ts';
import {
  expectAlwaysServers,
  expectServers,
  expectServersAsNetworkManager,
  ourFile,
  statusOf,
  stub,
  watchFile,
  withoutAutomaticProfiles,
} from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNameServer, type Behaviour, type NameServer } from './name-server.ts';
import { addNetwork, type Network } from './network.ts';
import { installPackage } from './package.ts';
import { PATIENCE_MS } from './patience.ts';
import { type Asked, startQuestioner, summaryOf } from './questioner.ts';

/** Each network gives every name another address, so that an answer tells where it came from. */
const CAFE = '203.0.113.1';
const HOME = '203.0.113.2';
const fresh = '{fresh}.public.example';
const configuration = '/etc/dnskeeper/conf.d/lab.toml';

describe.each(suites)('the life of the resolver on %s', (suite) => {
  let machine: Machine;
  let cafe: Network;
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `life-${suite}` });
    await withoutAutomaticProfiles(machine);
    await installPackage(machine);
    cafe = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' }, answers: { '#': CAFE } });
    open.push(cafe);
    open.push(
      await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' }, answers: { '#': HOME } }),
    );
    for (const [name, link] of [
      ['cafe', 'eth-a'],
      ['home', 'eth-b'],
    ])
      await machine.ok(
        `nmcli connection add type ethernet con-name ${name} ifname ${link} ipv6.method disabled connection.autoconnect no`,
      );
    await machine.ok('nmcli connection up cafe');
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    await machine?.destroy();
  });

  const ask = (name: string): Promise<string> =>
    machine.ok(`dig +short +time=15 +tries=1 @127.0.0.53 '${name}' A`);

  const report = (what: string): void => void process.stdout.write(`${suite}, ${what}\n`);

  /** Who listens on port 53, as `udp 127.0.0.53 dnskeeperd`. */
  const listeners = async (): Promise<readonly string[]> => {
    const text = await machine.ok("ss -Hlnptu 'sport = :53'");
    const lines = text.split('\n').filter((line) => line !== '');
    const rows = lines.map((line) => line.trim().split(/\s+/));
    return [
      ...new Set(
        rows.map(([protocol, , , , at = '', , who]) => {
          const program = /\(\("([^"]+)"/.exec(who ?? '')?.[1];
          return `${protocol} ${at.replace(/(%lo)?:53$/, '')} ${program === 'systemd-resolve' ? program : 'dnskeeper'}`;
        }),
      ),
    ].sort();
  };

  describe('where it listens', () => {
    test('nowhere while systemd-resolved runs, which answers there itself', async () => {
      await machine.until(
        'dig +short @127.0.0.53 www.public.example | grep -q .',
        'systemd-resolved answers',
      );
      expect((await listeners()).filter((line) => line.endsWith('dnskeeper'))).toEqual([]);
      const { status } = await statusOf(machine);
      expect(status.resolver).toMatchObject({ state: 'off', addresses: [] });
      expect(status.resolver.reason).toContain('systemd-resolved runs');
    });

    test('on both addresses, by UDP and TCP, as soon as systemd-resolved is disabled; and off again, and on', async () => {
      const own = ['tcp 127.0.0.53', 'tcp 127.0.0.54', 'udp 127.0.0.53', 'udp 127.0.0.54'];
      for (const verb of ['disable --now', 'enable --now', 'disable --now']) {
        await machine.ok(`systemctl ${verb} systemd-resolved`);
        const state = verb.startsWith('disable') ? 'bound' : 'off';
        const said = `dnsctl status --json | tr -d ' \\n' | grep -q '"resolver":{"state":"${state}"'`;
        await machine.until(said, `the resolver is ${state}`);
        // What was open goes a moment later, and systemd lets go of its copies another moment later.
        const wanted = state === 'bound' ? own.map((at) => `${at} dnskeeper`) : [];
        const ours = async () => (await listeners()).filter((line) => line.endsWith('dnskeeper'));
        await until(
          async () => (await ours()).join() === wanted.join(),
          wanted.join() || 'nowhere',
          PATIENCE_MS,
        );
      }
      // NetworkManager looks only at its start whether systemd-resolved has /etc/resolv.conf.
      await machine.ok('systemctl restart NetworkManager && nmcli connection up cafe');
      await expectServersAsNetworkManager(machine, ['10.20.0.1']);
      expect(await ask('www.public.example')).toBe(CAFE);
      expect(await machine.ok('dig +short +tcp @127.0.0.54 www.public.example')).toBe(CAFE);
    });

    test('and the file names it only while a plain file cannot say it all; status tells why', async () => {
      expect((await statusOf(machine)).status.resolvConf).toMatchObject({ mode: 'file' });
      const watch = watchFile(machine);
      await machine.ok(
        "nmcli connection modify cafe ipv4.dns-search '~lan.example' && nmcli connection up cafe",
      );
      await expectServers(machine, stub);
      const { status } = await statusOf(machine);
      expect(status.resolvConf.reason).toBe('Names under lan.example belong to eth-a alone (split DNS).');
      expect(await machine.ok('dnsctl status')).toContain('127.0.0.53');
      expect(await machine.ok('getent ahostsv4 www.public.example')).toContain(CAFE);
      await machine.ok("nmcli connection modify cafe ipv4.dns-search '' && nmcli connection up cafe");
      await expectServers(machine, ['10.20.0.1']);
      expectAlwaysServers(await watch.stop());
    });

    test('not where somebody else has the port: the file lists real servers until the port is free', async () => {
      await machine.ok(
        "nmcli connection modify cafe ipv4.dns-search '~lan.example' && nmcli connection up cafe",
      );
      await expectServers(machine, stub);
      await using closing = new AsyncDisposableStack();
      closing.defer(async () => {
        await machine.run('systemctl stop blocker');
        await machine.ok("nmcli connection modify cafe ipv4.dns-search '' && nmcli connection up cafe");
        await expectServers(machine, ['10.20.0.1']);
      });
      await machine.ok('systemctl stop dnskeeper');
      expect(await machine.ok(`sed -n 's/^nameserver //p' ${ourFile}`), 'after the stop').toBe('10.20.0.1');
      const blocker =
        'dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --pid-file= --user=root';
      await machine.ok(
        `systemd-run --quiet --unit=blocker ${blocker} --bind-interfaces --except-interface=lo --listen-address=127.0.0.53`,
      );
      await machine.until("ss -Hlnu 'sport = :53' | grep -q 127.0.0.53", 'somebody else has the port');
      const watch = watchFile(machine);
      await machine.ok('systemctl reset-failed && systemctl start dnskeeper');
      await machine.until(
        `dnsctl status --json | tr -d ' \\n' | grep -q '"resolver":{"state":"failed"'`,
        'the resolver has failed',
      );
      await machine.until("dnsctl status --json | grep -q 'Not said'", 'status says what is lost');
      const { code, status } = await statusOf(machine);
      expect(code, 'a warning').toBe(1);
      expect(status.resolver.reason).toMatch(/cannot listen/);
      expect(await machine.ok(`sed -n 's/^nameserver //p' ${ourFile}`)).toBe('10.20.0.1');
      const texts = await watch.stop();
      expect(
        texts.filter((text) => text?.includes('127.0.0.53')),
        'never a dead line',
      ).toEqual([]);
      expectAlwaysServers(texts);
      await machine.ok('systemctl stop blocker');
      await expectServers(machine, stub);
      expect(await ask('again.public.example')).toBe(CAFE);
      await machine.until('dnsctl status', 'all is well again');
    });
  });

  describe('while networks come and go', () => {
    test('answers 20 switches between two networks by the one that is there', async () => {
      await using questioner = await startQuestioner(machine, {
        intervalMs: 5,
        names: [fresh, 'www.public.example'],
      });
      const phases: { readonly from: number; readonly to: number; readonly wanted: string }[] = [];
      for (let round = 0; round < 20; round++) {
        const [next, last, server, wanted] =
          round % 2 === 0 ? ['home', 'cafe', '10.30.0.1', HOME] : ['cafe', 'home', '10.20.0.1', CAFE];
        await machine.ok(`nmcli connection up ${next} && nmcli connection down ${last}`);
        await expectServers(machine, [server ?? '']);
        const from = Date.now();
        await questioner.more(20);
        phases.push({ from, to: Date.now(), wanted: wanted ?? '' });
      }
      const answers = await questioner.stop();
      report(`20 switches: ${summaryOf(answers)}`);
      for (const { from, to, wanted } of phases) {
        const then = answers.filter(({ at }) => at >= from && at < to);
        expect(then.length).toBeGreaterThan(0);
        expect(then.filter(({ addresses }) => addresses[0] !== wanted)).toEqual([]);
      }
      expectAnswered(answers);
    });

    test('answers again at once after a cable was pulled and put back', async () => {
      await using questioner = await startQuestioner(machine, { intervalMs: 20, names: [fresh] });
      for (let round = 0; round < 5; round++) {
        await cafe.unplug();
        await cafe.plug();
        await questioner.more(5);
      }
      const from = Date.now();
      await questioner.more(20);
      const answers = await questioner.stop();
      report(`5 pulled cables: ${summaryOf(answers)}`);
      expectAnswered(answers.filter(({ at }) => at >= from));
      expect(answers.filter(({ rcode, addresses }) => rcode === 0 && addresses[0] !== CAFE)).toEqual([]);
    });

    test('answers again after a sleep, and says so while there is no network', async () => {
      const sleep = (on: boolean): Promise<string> =>
        machine.ok(
          `busctl call org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Sleep b ${on}`,
        );
      await machine.ok('nmcli connection modify cafe connection.autoconnect yes');
      await using closing = new AsyncDisposableStack();
      closing.defer(async () => {
        await cafe.plug();
        await sleep(false).catch(() => {});
        await machine.ok('nmcli connection modify cafe connection.autoconnect no');
      });
      await using questioner = await startQuestioner(machine, { intervalMs: 20, names: [fresh] });
      await using direct = await startQuestioner(machine, {
        server: '10.20.0.1',
        intervalMs: 20,
        names: [fresh],
      });
      await sleep(true);
      await cafe.unplug();
      await machine.until(`! grep -q ^nameserver ${ourFile}`, 'the grace time is over');
      const asleep = Date.now();
      await questioner.more(5);
      expect(await machine.ok('dig @127.0.0.53 asleep.public.example')).toMatch(/status: (REFUSED|SERVFAIL)/);
      const waking = Date.now();
      await sleep(false);
      await cafe.plug();
      await expectServers(machine, ['10.20.0.1']);
      const awake = Date.now();
      await questioner.more(20);
      const answers = await questioner.stop();
      const firstOf = (all: readonly Asked[]): number => {
        const ends = all.flatMap(({ at, tookMs, rcode }) =>
          at > waking && rcode === 0 ? [at + tookMs] : [],
        );
        return Math.min(...ends) - awake;
      };
      report(
        `sleep: first answer ${firstOf(answers)} ms after the file names the server; ` +
          `who asks that server itself waits ${firstOf(await direct.stop())} ms`,
      );
      const then = answers.filter(({ at }) => at > asleep && at < waking);
      expect(then.filter(({ rcode }) => rcode === 0)).toEqual([]);
      expectAnswered(answers.filter(({ at }) => at >= awake));
    });
  });

  describe('with servers that fail', () => {
    const [one, two]: [Behaviour, Behaviour] = [
      { mode: 'answer', answers: '203.0.113.11' },
      { mode: 'answer', answers: '203.0.113.12' },
    ];
    let first: NameServer;
    let second: NameServer;

    beforeAll(async () => {
      first = await addNameServer(cafe, { address: '10.53.0.1', behaviour: one });
      second = await addNameServer(cafe, { address: '10.53.0.2', behaviour: two });
      open.push(first, second);
      await machine.ok(
        "nmcli connection modify cafe ipv4.ignore-auto-dns yes ipv4.dns '10.53.0.1,10.53.0.2' && nmcli connection up cafe",
      );
      await expectServers(machine, ['10.53.0.1', '10.53.0.2']);
    });

    beforeEach(async () => {
      await first.behave(one);
      await second.behave(two);
      await firstIsAsked();
    });

    afterEach(async () => {
      await first.behave(one);
      await second.behave(two);
    });

    let count = 0;
    const unused = (): string => `u${count++}.public.example`;
    const firstIsAsked = (): Promise<void> =>
      machine.until(
        'dig +short @127.0.0.53 $(date +%s%N).public.example | grep -q 203.0.113.11',
        'the first server is asked first',
        45_000,
      );
    const health = async (): Promise<readonly string[]> =>
      (await statusOf(machine)).status.resolver.servers.map(({ state }) => state);

    test('resolves quickly through the second while the first is silent, and goes back to the first', async () => {
      await first.behave({ ...one, mode: 'silent' });
      const timed = async (): Promise<number> => {
        const text = await machine.ok(`dig +time=15 +tries=1 @127.0.0.53 ${unused()}`);
        expect(text).toContain('203.0.113.12');
        return Number(/Query time: (\d+) msec/.exec(text)?.[1]);
      };
      const [start, later] = [await timed(), await timed()];
      report(`first server silent: ${start} ms, then ${later} ms`);
      // NetworkManager may tell the last of its activation only now; then the network is another one and all is forgiven.
      const toldLate = async (): Promise<boolean> => {
        await timed();
        return (await health()).join() === 'late,good';
      };
      await until(toldLate, 'status says that the first is late', PATIENCE_MS);
      await first.behave(one);
      const from = Date.now();
      await firstIsAsked();
      report(`first server again: ${Date.now() - from} ms until it is asked first`);
      await until(async () => (await health())[0] === 'good', 'status says that it is good', PATIENCE_MS);
    });

    test.each(['refused', 'servfail'] as const)('asks the second where the first says %s', async (mode) => {
      await first.behave({ ...one, mode });
      for (let time = 0; time < 5; time++) expect(await ask(unused())).toBe('203.0.113.12');
      const [asked] = (await statusOf(machine)).status.resolver.servers;
      expect(asked?.refusals, 'it was asked all the same').toBeGreaterThan(0);
    });

    test('gives SERVFAIL with a reason when all fail, and never the silence of a dead server', async () => {
      for (const server of [first, second]) await server.behave({ ...one, mode: 'silent' });
      const text = await machine.ok(`dig +time=15 +tries=1 @127.0.0.53 ${unused()}`);
      expect(text).toContain('status: SERVFAIL');
      expect(text).toMatch(/EDE: 2[23]/);
      report(`all servers silent: told after ${/Query time: (\d+) msec/.exec(text)?.[1]} ms`);
    });

    test('answers with 30 % of the packets lost', async () => {
      await first.behave({ ...one, loss: 0.3 });
      await second.behave({ ...two, loss: 0.3 });
      await using questioner = await startQuestioner(machine, { intervalMs: 5, names: [fresh] });
      await questioner.more(600);
      const answers = await questioner.stop();
      report(`30 % lost, through the resolver: ${summaryOf(answers)}`);
      expectAnswered(answers);
    });

    // It takes libc twenty seconds.
    if (suite === 'trixie') {
      test('does so better than libc by itself', async () => {
        await first.behave({ ...one, loss: 0.3 });
        await second.behave({ ...two, loss: 0.3 });
        const direct = await byLibc('file');
        const through = await byLibc('stub');
        report(
          `30 % lost, 60 lookups of getent: by itself ${inWords(direct)}; through the resolver ${inWords(through)}`,
        );
        expect(through.failed).toBe(0);
        expect(through.times.at(-1) ?? 0).toBeLessThan(direct.times.at(-1) ?? 0);
      });
    }

    /** 60 lookups at once, with a plain file or with our resolver in it. */
    async function byLibc(
      mode: 'file' | 'stub',
    ): Promise<{ readonly failed: number; readonly times: readonly number[] }> {
      await machine.writeFile(configuration, `[resolver]\nmode = "${mode}"\n`);
      await using closing = new AsyncDisposableStack();
      closing.defer(async () => void (await machine.ok(`rm ${configuration} && dnsctl reload`)));
      await machine.ok('dnsctl reload');
      await expectServers(machine, mode === 'stub' ? stub : ['10.53.0.1', '10.53.0.2']);
      // By DNS alone: nss-resolve would ask the resolver past the file.
      const lookup = `s=$(date +%s%3N); getent -s dns ahostsv4 ${mode}{}.public.example >/dev/null; echo $? $(($(date +%s%3N) - s))`;
      const text = await machine.ok(`seq 60 | xargs -P 60 -I{} sh -c '${lookup}'`, { timeoutMs: 60_000 });
      const rows = text.split('\n').map((line) => line.split(' ').map(Number));
      return {
        failed: rows.filter(([code]) => code !== 0).length,
        times: rows.map(([, took = Number.NaN]) => took).toSorted((a, b) => a - b),
      };
    }
  });

  describe('by hand', () => {
    test('follows the hosts file', async () => {
      await machine.ok("echo '192.0.2.7 printer.public.example printer' >> /etc/hosts");
      await machine.until(
        'dig +short @127.0.0.53 printer.public.example | grep -qx 192.0.2.7',
        'the name is known',
      );
      expect(await machine.ok('dig +short @127.0.0.53 -x 192.0.2.7')).toBe(
        'printer.public.example.\nprinter.',
      );
      await machine.ok("sed -i '/printer/d' /etc/hosts");
      await machine.until(
        '! dig +short @127.0.0.53 printer.public.example | grep -qx 192.0.2.7',
        'the name is forgotten',
      );
    });

    test('tells by dnsctl who answered, forgets when told, and explains', async () => {
      const query = async (): Promise<{ from: string; answers: string[] }> =>
        JSON.parse(await machine.ok('dnsctl query --json told.public.example')) as {
          from: string;
          answers: string[];
        };
      expect(await query()).toMatchObject({ from: 'upstream' });
      expect(await query()).toMatchObject({ from: 'cache' });
      await machine.ok('dnsctl flush');
      expect(await query()).toMatchObject({ from: 'upstream' });
      await machine.ok('dnsctl flush public.example');
      expect(await query()).toMatchObject({ from: 'upstream' });
      expect(await machine.ok('dnsctl explain told.public.example')).toContain('10.53.0.1');
    });
  });
});

/** Each question has an address, though some may have waited for it. */
function expectAnswered(answers: readonly Asked[]): void {
  expect(answers.length).toBeGreaterThan(0);
  expect(answers.filter(({ rcode, addresses }) => rcode !== 0 || addresses.length === 0)).toEqual([]);
}

const inWords = ({ failed, times }: { readonly failed: number; readonly times: readonly number[] }): string =>
  `${failed} failed, median ${times[Math.floor(times.length / 2)]} ms, longest ${times.at(-1)} ms`;

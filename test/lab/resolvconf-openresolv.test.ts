import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../scripts/bundle.ts';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import { recordState } from '../../src/core/record-links.ts';
import { readRules } from '../../src/core/record-rules.ts';
import { formatOption } from '../../src/core/resolv-option.ts';
import { formatHost } from '../../src/core/server.ts';
import { recordFolder } from '../../src/system/record-folder.ts';
import { recordPaths } from '../../src/system/record-paths.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { call, type Ended, freshOpenresolv, type Openresolv, unpackOpenresolv } from './openresolv.ts';

/**
 * The same calls to openresolv and to us: how each ends, what it prints, and which servers and domains are in force after
 * it. Where the two differ the row says why, and the test fails when they no longer do.
 */
interface Call {
  readonly line: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly differs?: {
    readonly code?: string;
    readonly out?: string;
    readonly servers?: string;
    readonly search?: string;
    readonly others?: string;
  };
}

interface Scenario {
  readonly name: string;
  /** /etc/resolvconf.conf. */
  readonly rules?: string;
  readonly calls: readonly Call[];
}

const ETHERNET = 'domain home.example\nnameserver 192.0.2.1\n';
const TUNNEL = 'search corp.example\nnameserver 10.8.0.1\n';

const NOTHING_LISTED = 'a list of nothing is no failure, as openresolv does since 3.13';
const LOWER_CASE = 'names become lower case, as openresolv does since 3.14';
const PRIVATE =
  'servers of a private record are kept for its own domains by the resolver, which the plain file is not';
const LOCAL = 'others stay behind a server of this machine, which may not be able to answer';
const METRIC_ALONE = 'openresolv 3.12 overlooks a metric that alone has changed';
const VPN_FIRST = 'a VPN comes before other links whatever its metric, as NetworkManager has it';

const scenarios: readonly Scenario[] = [
  {
    name: 'one record comes, changes, and goes',
    calls: [
      { line: '-a eth0.dhclient', input: ETHERNET },
      { line: '-a eth0.dhclient', input: ETHERNET },
      { line: '-i' },
      { line: '-l' },
      { line: '-l eth0.dhclient' },
      { line: '-v' },
      { line: '-a eth0.dhclient', input: 'nameserver 192.0.2.2\nsearch a.example b.example\n' },
      { line: '-v' },
      { line: '-d nosuch' },
      { line: '-d nosuch -f' },
      { line: '-f -d nosuch' },
      { line: '-l nosuch' },
      { line: '-f -l nosuch', differs: { code: NOTHING_LISTED } },
      { line: '-d eth0.dhclient' },
    ],
  },
  {
    name: 'metrics and tunnels',
    calls: [
      { line: '-a eth0 -m 100', input: ETHERNET },
      { line: '-a wlan0 -m 600', input: 'nameserver 192.0.2.9\n' },
      { line: '-m 50 -a eth1', input: 'nameserver 192.0.2.5\n' },
      { line: '-a eth2', input: 'nameserver 192.0.2.6\n' },
      { line: '-a tun0.openvpn', input: TUNNEL },
      { line: '-a ppp0.pppd', input: 'nameserver 10.9.0.1\n' },
      { line: '-m 9 -a eth0', input: ETHERNET, differs: { servers: METRIC_ALONE } },
      { line: '-a eth3', env: { IF_METRIC: '7' }, input: 'nameserver 192.0.2.7\n' },
      { line: '-v' },
      { line: '-d tun0.openvpn' },
      { line: '-d eth0 eth1' },
    ],
  },
  {
    name: 'deprecated records',
    calls: [
      { line: '-a eth0.dhcp', input: ETHERNET },
      { line: '-a eth0.ra', input: 'nameserver 2001:db8::1\n' },
      { line: '-a wlan0.dhcp', input: 'nameserver 192.0.2.9\n' },
      { line: '-C eth0.*' },
      { line: '-C eth0.*' },
      { line: '-v' },
      { line: '-a eth0.dhcp6', input: 'nameserver 2001:db8::6\n' },
      { line: '-c eth0.*' },
      { line: '-v' },
    ],
  },
  {
    name: 'exclusive records',
    calls: [
      { line: '-a eth0', input: ETHERNET },
      { line: '-a wg0 -m 0 -x', input: 'nameserver 10.0.0.1\nsearch corp.example\n' },
      { line: '-x -m 0 -a tailscale', input: 'nameserver 100.100.100.100\n' },
      { line: '-v' },
      { line: '-d tailscale' },
      { line: '-v' },
      {
        line: '-a wg0 -m 0',
        input: 'nameserver 10.0.0.1\nsearch corp.example\n',
        differs: { servers: VPN_FIRST, search: VPN_FIRST },
      },
      { line: '-a wg0', env: { IF_EXCLUSIVE: 'yes' }, input: 'nameserver 10.0.0.1\n' },
      { line: '-d wg0 -f' },
    ],
  },
  {
    name: 'what is in a record',
    calls: [
      { line: '-a a', input: '' },
      { line: '-a b', input: '\n\n' },
      { line: '-a c', input: 'nameserver 192.0.2.3' },
      { line: '-a d', input: '# by hand\n\nnameserver 192.0.2.4\n' },
      { line: '-a e', input: 'search a.example. b.example.\nnameserver 192.0.2.5\n' },
      { line: '-a f', input: 'nameserver 192.0.2.6 # comment\n' },
      { line: '-a g', input: 'nameserver 192.0.2.6\nnameserver 192.0.2.6\n' },
      { line: '-a h', input: 'nameserver 2001:db8::8\n' },
      { line: '-l c' },
      { line: '-l d' },
      { line: '-l a' },
      { line: '-a i', input: 'search C.EXAMPLE\nnameserver 192.0.2.9\n', differs: { search: LOWER_CASE } },
    ],
  },
  {
    name: 'an order of its own',
    rules: 'interface_order="br0 eth0"\ndynamic_order="wlan[0-9]* tun[0-9]*"\n',
    calls: [
      { line: '-a tun0', input: TUNNEL },
      { line: '-a wlan0', input: 'nameserver 192.0.2.9\n' },
      { line: '-a wg0', input: 'nameserver 10.0.0.1\n' },
      { line: '-a usb0', input: 'nameserver 192.0.2.8\n' },
      { line: '-a eth0.dhcp -m 700', input: ETHERNET },
      { line: '-a br0', input: 'nameserver 192.0.2.7\n' },
      { line: '-v' },
      { line: '-C wlan0' },
    ],
  },
  {
    name: 'other lines of records',
    rules: 'resolv_conf_options="ndots:3 edns0"\nresolv_conf_sortlist="10.0.0.0 172.16.0.0/255.255.0.0"\n',
    calls: [
      { line: '-u' },
      {
        line: '-a eth0',
        input: 'options rotate ndots:2\nsortlist 192.0.2.0/255.255.255.0\nnameserver 192.0.2.1\n',
      },
      {
        line: '-a eth1',
        input: 'options timeout:1\nsortlist 198.51.100.0/255.255.255.0\nnameserver 192.0.2.2\n',
      },
      { line: '-v' },
      { line: '-d eth0' },
      { line: '-d eth1' },
    ],
  },
  {
    name: 'private records',
    calls: [
      { line: '-a eth0', input: ETHERNET },
      { line: '-p -a tun0', input: TUNNEL, differs: { servers: PRIVATE } },
      { line: '-v', differs: { servers: PRIVATE } },
      { line: '-a tun0', input: TUNNEL },
      { line: '-a tun0', env: { IF_PRIVATE: '1' }, input: TUNNEL, differs: { servers: PRIVATE } },
    ],
  },
  {
    name: 'a name server of this machine',
    calls: [
      { line: '-a eth0', input: ETHERNET },
      { line: '-a lo.unbound', input: 'nameserver 127.0.0.1\n', differs: { servers: LOCAL } },
      { line: '-v', differs: { servers: LOCAL } },
      { line: '-d lo.unbound' },
    ],
  },
  {
    name: 'wrong calls',
    calls: [
      { line: '-a a/b', input: ETHERNET },
      { line: '-a a*', input: ETHERNET },
      { line: '-a .a', input: ETHERNET },
      { line: '-a ~a', input: ETHERNET },
      { line: '-a', input: ETHERNET },
      { line: '-d' },
      { line: '-z' },
      { line: '-s nscd restart' },
      { line: '--nonsense' },
      { line: '-u' },
      { line: '-V' },
      { line: '-I' },
    ],
  },
  {
    name: 'with /etc/resolvconf.conf',
    rules:
      'name_servers=192.0.2.100\nsearch_domains="z.example"\ndeny_interfaces="eth1"\nname_server_blacklist="192.0.2.66"\n' +
      'domain_blacklist="bad.example"\ninterface_order="wlan0"\nresolv_conf_options="edns0"\n',
    calls: [
      {
        line: '-a eth0',
        input: 'nameserver 192.0.2.1\nnameserver 192.0.2.66\nsearch home.example bad.example\n',
      },
      { line: '-a eth1', input: 'nameserver 192.0.2.11\n' },
      { line: '-a wlan0', input: 'nameserver 192.0.2.12\n' },
      { line: '-v' },
      { line: '-V' },
    ],
  },
];

const bundles = mkdtempSync(join(tmpdir(), `dk-${process.pid}-resolvconf-`));
let pristine: Openresolv;

beforeAll(async () => {
  await bundle(join(import.meta.dirname, '../..'), bundles, { resolvconf: 'src/resolvconf.ts' });
  pristine = await unpackOpenresolv();
});

afterAll(() => {
  rmSync(bundles, { recursive: true, force: true });
  pristine?.remove();
});

test('sixty calls and more are compared', () => {
  expect(call([pristine.program, '--version'], '').out).toMatch(/^openresolv 3\./);
  expect(scenarios.flatMap(({ calls }) => calls).length).toBeGreaterThanOrEqual(60);
});

describe.each(scenarios)('openresolv and we agree: $name', ({ rules, calls }) => {
  let theirs: Openresolv;
  let root: string;

  beforeAll(() => {
    theirs = freshOpenresolv(pristine);
    root = mkdtempSync(join(tmpdir(), `dk-${process.pid}-resolvconf-`));
    mkdirSync(join(root, 'etc'));
    if (rules === undefined) return;
    writeFileSync(join(root, 'etc/resolvconf.conf'), rules);
    writeFileSync(join(theirs.root, 'etc/resolvconf.conf'), rules);
  });

  afterAll(() => {
    theirs?.remove();
    rmSync(root, { recursive: true, force: true });
  });

  test.each(calls.map((each, index) => ({ ...each, title: `${index + 1}: ${each.line}` })))(
    '$title',
    ({ line, input = '', env = {}, differs = {} }) => {
      const words = line.split(' ');
      const they = call([theirs.program, ...words], input, env);
      const we = call(
        [process.execPath, join(bundles, 'resolvconf.mjs'), '--root', root, ...words],
        input,
        env,
      );
      const pairs = {
        code: [they.code, we.code],
        out: [printed(they), printed(we)],
        servers: [theirFile(theirs).servers, ourPlan(root).servers],
        search: [theirFile(theirs).search, ourPlan(root).search],
        others: [theirFile(theirs).others, ourPlan(root).others],
      };
      for (const [what, [theirOne, ourOne]] of Object.entries(pairs)) {
        if (differs[what as keyof typeof differs] === undefined) expect(ourOne, what).toEqual(theirOne);
        else expect(ourOne, `${what} no longer differs`).not.toEqual(theirOne);
      }
    },
  );
});

/** Blanks at the ends of lines say nothing. */
const printed = ({ out }: Ended): readonly string[] =>
  out
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

interface InForce {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  /** Options in force, as libc takes them, and the sortlist. */
  readonly others: readonly string[];
}

function theirFile({ root }: Openresolv): InForce {
  const text = readQuietly(join(root, 'etc/resolv.conf'));
  const { nameservers } = parseResolvConf(text);
  const words = (keyword: string): readonly string[] =>
    [...text.matchAll(new RegExp(`^${keyword} (.*)$`, 'gm'))].flatMap((match) => (match[1] ?? '').split(' '));
  const search = words('search');
  // Of two values of an option libc takes the last.
  const options = new Map(words('options').map((option) => [option.split(':', 1)[0], option]));
  return {
    servers: nameservers,
    search: search.length > 0 ? search : words('domain'),
    others: [...[...options.values()].toSorted(), ...words('sortlist')],
  };
}

function ourPlan(root: string): InForce {
  const paths = recordPaths(root);
  const { rules } = readRules(readQuietly(paths.rules));
  const ground = { rules, links: [], networkManagerTells: true };
  const { state } = recordState(recordFolder(paths.folder).read().set, ground);
  const plan = makePlan({ records: state }, DEFAULT_CONFIG);
  return {
    servers: plan.upstream.map(({ value }) => formatHost(value)),
    search: plan.search.map(({ value }) => value),
    others: [
      ...plan.options.map(({ value }) => formatOption(value)).toSorted(),
      ...(plan.sortlist ?? []).map(({ value }) => value),
    ],
  };
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

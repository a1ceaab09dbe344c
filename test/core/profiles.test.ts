import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/core/config.ts';
import type { Plan } from '../../src/core/plan.ts';
import { makePlan } from '../../src/core/policy.ts';
import { formatServer } from '../../src/core/server.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { readToml } from '../../src/system/toml.ts';
import { link } from '../support/links.ts';

const WIFI = link({ interface: 'wlan0', servers: ['192.0.2.1'], ssid: 'Café', gateway: '192.0.2.254' });
const VPN = link({ interface: 'tun0', vpn: true, priority: 50, servers: ['10.9.0.1'], defaultRoute: false });

function planOf(toml: string, links: readonly LinkDns[], byHand?: string): Plan {
  const read = readToml(toml);
  if (!('values' in read)) throw new Error(read.problem.message);
  const { config, problems } = readConfig([{ file: 'config.toml', text: toml, values: read.values }]);
  expect(problems).toEqual([]);
  return makePlan({ networkmanager: { links } }, config, byHand);
}

const serversOf = (plan: Plan): readonly string[] => plan.upstream.map(({ value }) => formatServer(value));

const TWO = `
[[profile]]
name = "café"
when.ssid = "Café"
servers = ["192.0.2.53"]
[[profile]]
name = "safe"
when.ssid = "Elsewhere"
servers = ["198.51.100.53"]
`;

describe('profiles', () => {
  it('the first that fits a link holds for it, and others for other links', () => {
    const plan = planOf(`${TWO}[[profile]]\nname = "rest"\npriority = 20\n`, [WIFI, VPN]);
    expect(plan.profiles).toEqual([
      { name: 'café', links: ['wlan0'], reason: 'when.ssid = "Café" fits.' },
      { name: 'safe', links: [], reason: 'No link fulfils when.ssid = "Elsewhere"; there is "Café".' },
      { name: 'rest', links: ['tun0'], reason: 'It has no condition.' },
    ]);
    expect(plan.links.map(({ key, origin }) => [key, origin.profile])).toEqual([
      ['tun0', 'rest'],
      ['wlan0', 'café'],
    ]);
  });

  it('one chosen by hand comes first, on the links with the default route where its conditions fit none', () => {
    const plan = planOf(TWO, [WIFI, VPN], 'safe');
    expect(serversOf(plan)).toEqual(['10.9.0.1', '198.51.100.53']);
    expect(plan.profiles).toMatchObject([
      { name: 'café', links: [], reason: 'wlan0 has profile "safe", which comes first.' },
      { name: 'safe', links: ['wlan0'], reason: 'It was chosen by hand.' },
    ]);
  });

  it.each([
    ['type = "wlan"', '"wlan"; there is "ethernet"'],
    ['gateway = "10.*"', '"10.*"; there is "192.0.2.254"'],
    ['interface = ["eth0", "eth1"]', '"eth0" or "eth1"; there is "wlan0", "tun0"'],
    ['connectivity = "portal"', '"portal"; there is "full"'],
    ['vpn = true', undefined],
  ])('one that no link fulfils says what there is instead: %s', (condition, told) => {
    const plan = planOf(`[[profile]]\nname = "x"\nwhen.${condition}\npriority = 1\n`, [WIFI, VPN]);
    const reason =
      told === undefined
        ? 'when.vpn = true fits.'
        : `No link fulfils when.${condition.split(' ')[0]} = ${told}.`;
    expect(plan.profiles[0]?.reason).toBe(reason);
  });

  it('without a link there is nothing to fulfil it with', () => {
    const plan = planOf('[[profile]]\nname = "x"\nwhen.ssid = "a"\npriority = 1\n', []);
    expect(plan.profiles[0]?.reason).toBe('No link fulfils when.ssid = "a"; no link has one.');
  });

  it('one chosen by hand that is not there any more changes nothing', () => {
    expect(planOf(TWO, [WIFI], 'gone')).toEqual(planOf(TWO, [WIFI]));
  });

  it('a later file replaces a profile of the same name in its place', () => {
    const document = (file: string, servers: readonly string[]) => ({
      file,
      text: '',
      values: { profile: [{ name: 'a', servers }] },
    });
    const { config } = readConfig([document('1', ['192.0.2.1']), document('2', ['192.0.2.2'])]);
    expect(config.profiles.map(({ servers }) => servers?.map(formatServer))).toEqual([['192.0.2.2']]);
  });

  it('two of one name in one file are told, for the first would vanish', () => {
    const text = '[[profile]]\nname = "a"\npriority = 1\n\n[[profile]]\nname = "a"\npriority = 2\n';
    const read = readToml(text);
    const values = 'values' in read ? read.values : {};
    expect(readConfig([{ file: 'f', text, values }]).problems).toEqual([
      {
        file: 'f',
        line: 6,
        key: 'profile[2].name',
        wanted: 'a name that no profile before it in this file has',
        got: '"a"',
      },
    ]);
  });

  it('what is wrong in the second is told with its line', () => {
    const text = '[[profile]]\nname = "a"\npriority = 1\n\n[[profile]]\nname = "b"\nservers = ["x"]\n';
    const read = readToml(text);
    const values = 'values' in read ? read.values : {};
    expect(readConfig([{ file: 'f', text, values }]).problems).toEqual([
      {
        file: 'f',
        line: 7,
        key: 'profile[2].servers',
        wanted: expect.stringMatching(/^list of servers: /),
        got: '["x"] (entry 1: no IP address)',
      },
    ]);
  });

  it.each([
    ['when.sssid = "x"', 'when.sssid', 'a key of a profile; did you mean when.ssid?', 'an unknown key'],
    ['ssid = "x"', 'ssid', 'a key of a profile; did you mean when.ssid?', 'an unknown key'],
    ['server = []', 'server', 'a key of a profile; did you mean servers?', 'an unknown key'],
    ['colour = 1', 'colour', /^a key of a profile \(name, when\.connection, /, 'an unknown key'],
    ['when = "Home"', 'when', 'a table of conditions such as { ssid = "Home" }', '"Home" (no table)'],
    [
      'servers = ["127.0.0.1:5353"]',
      'servers',
      /"dns\+udp:\/\/IP:port"/,
      /\(entry 1: a port after the address; it is written "dns\+udp:\/\/127\.0\.0\.1:5353"\)$/,
    ],
  ])('%s is told with what was meant', (line, key, wanted, got) => {
    const text = `[[profile]]\nname = "a"\n${line}\n`;
    const read = readToml(text);
    const values = 'values' in read ? read.values : {};
    const matching = (what: string | RegExp) =>
      typeof what === 'string' ? what : expect.stringMatching(what);
    expect(readConfig([{ file: 'f', text, values }]).problems).toEqual([
      { file: 'f', line: 3, key: `profile[1].${key}`, wanted: matching(wanted), got: matching(got) },
    ]);
  });

  it.each([
    ['when.gateway = "192.0.2.*"', true],
    ['when.gateway = "192.0.3.*"', false],
    ['when.connection = "Home"', true],
    ['when.connection = "00000000-*"', true],
    ['when.type = "ethernet"', true],
    ['when.type = "802-3-ethernet"', true],
    ['when.type = "wifi"', false],
    ['when.vpn = false', true],
    ['when.default-route = false', false],
    ['when.connectivity = ["portal", "full"]', true],
    ['when = { ssid = "Caf?", interface = "eth*" }', false],
  ])('%s: fits %j', (condition, fits) => {
    const plan = planOf(`[[profile]]\nname = "x"\n${condition}\nservers = ["198.51.100.1"]\n`, [WIFI]);
    expect(serversOf(plan)).toEqual([fits ? '198.51.100.1' : '192.0.2.1']);
  });
});

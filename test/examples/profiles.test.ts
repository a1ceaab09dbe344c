import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import { formatServer } from '../../src/core/server.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { readToml } from '../../src/system/toml.ts';
import { link, vpn } from '../support/links.ts';

const file = join(import.meta.dirname, '../../examples/profiles.toml');

const wifi = (fields: Partial<LinkDns>): LinkDns =>
  link({
    interface: 'wlan0',
    connection: { id: 'Some Wi-Fi', uuid: 'w', type: '802-11-wireless' },
    servers: ['192.0.2.1'],
    ...fields,
  });

const cable = link({ gateway: '10.0.0.1', servers: ['10.0.0.1'] });

test.each<[string, LinkDns, string, string]>([
  ['the office VPN', vpn({ connection: { id: 'Work', uuid: 'v', type: 'vpn' } }), 'work', '10.99.0.1'],
  ['home', wifi({ ssid: 'Home 5 GHz' }), 'home', '192.168.1.53'],
  ['a hotel with a portal', wifi({ ssid: 'Hotel', connectivity: 'portal' }), 'portal', '192.0.2.1'],
  [
    'the same when it lets us through',
    wifi({ ssid: 'Hotel' }),
    'public Wi-Fi',
    'dns+tls://9.9.9.9:853#dns.quad9.net',
  ],
  ['a server', cable, 'server', '10.0.0.53'],
])('the example rules do for %s what they say', (_what, said, name, first) => {
  const text = readFileSync(file, 'utf8');
  const read = readToml(text);
  if (!('values' in read)) throw new Error(read.problem.message);
  const { config, problems } = readConfig([{ file, text, values: read.values }]);
  expect(problems).toEqual([]);
  const given = { ...said, ...(said.vpn ? { servers: ['10.99.0.1'], defaultRoute: true } : {}) };
  const { profiles, links } = makePlan({ networkmanager: { links: [given] } }, config);
  expect(profiles.filter((profile) => profile.links.length > 0).map((profile) => profile.name)).toEqual([
    name,
  ]);
  const server = links[0]?.servers[0]?.value;
  expect(server === undefined ? undefined : formatServer(server)).toBe(first);
});

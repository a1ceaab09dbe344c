import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import { formatServer, parseServer } from '../../src/core/server.ts';
import type { LinkDns } from '../../src/core/snapshot.ts';
import { makeRouting, type Routed, type Routing } from '../../src/resolver/routing.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { must } from '../support/sample-status.ts';
import { wireName } from '../support/wire-name.ts';

const A = 1;
const DS = 43;
const PTR = 12;

const home = link({ servers: ['192.168.1.1'], searches: ['home.example'], addresses: ['192.168.1.7/24'] });
const office = vpn({
  servers: ['10.8.0.1', '10.8.0.2'],
  searches: ['corp.example', '~internal.example'],
  addresses: ['10.8.0.7/24'],
});

describe('a split VPN beside a home network', () => {
  const routing = routingOf([home, office]);
  it.each([
    ['www.example.com', A, 'eth0'],
    ['corp.example', A, 'tun0'],
    ['git.corp.example', A, 'tun0'],
    ['GIT.Corp.Example', A, 'tun0'],
    ['a.b.internal.example', A, 'tun0'],
    ['notcorp.example', A, 'eth0'],
    ['nas.home.example', A, 'eth0'],
    ['9.0.8.10.in-addr.arpa', PTR, 'tun0'],
    ['9.1.168.192.in-addr.arpa', PTR, 'eth0'],
    ['nas', A, 'not here'],
    ['com', DS, 'eth0'],
    ['printer.local', A, 'not here'],
    ['www.Example.onion', A, 'not here'],
    ['onion.example', A, 'eth0'],
    ['1.1.254.169.in-addr.arpa', PTR, 'not here'],
    ['odd name.corp.example', A, 'tun0'],
  ])('%s of type %i goes to %s', (name, type, wanted) => {
    expect(routeText(routing, name, type)).toBe(wanted);
  });
});

it.each([
  [
    'the longest domain decides, whoever has it',
    ['corp.example'],
    ['eu.corp.example'],
    'x.eu.corp.example',
    'tun1',
  ],
  ['and the shorter one keeps the rest', ['corp.example'], ['eu.corp.example'], 'x.us.corp.example', 'tun0'],
  ['equals are asked together', ['corp.example'], ['corp.example'], 'x.corp.example', 'tun0+tun1'],
])('%s', (_, first, second, name, wanted) => {
  const other = vpn({ interface: 'tun1', ifindex: 8, servers: ['10.9.0.1'], searches: second });
  const routing = routingOf([home, vpn({ servers: ['10.8.0.1'], searches: first }), other]);
  expect(routeText(routing, name, A)).toBe(wanted);
});

describe('with a back end', () => {
  const backEnd = must(parseServer('127.0.0.55'));
  const routing = makeRouting(makePlan(snapshotOf([home, office]), DEFAULT_CONFIG), false, backEnd);
  const routeOf = (name: string, wish?: { link: string }) =>
    routing.routeOf(wireName(name), A, wish) as Exclude<Routed, string>;

  it('names keep their routes, so that what is remembered stays apart, and the back end is asked over no link', () => {
    for (const [name, key] of [
      ['www.example.com', 'eth0'],
      ['git.corp.example', 'tun0'],
    ] as const) {
      const route = routeOf(name);
      expect(route.key).toBe(key);
      expect(route.links.map(({ servers }) => servers)).toEqual([[backEnd]]);
      expect(route.links[0]).not.toHaveProperty('interface');
    }
  });

  it('a program that wants one link alone has its servers asked', () => {
    const [link] = routeOf('git.corp.example', { link: 'tun0' }).links;
    expect(link?.servers.map(formatServer)).toEqual(office.servers);
  });

  it('its zones are the routes as they are without it', () => {
    expect(routing.routes.map(({ domain, key }) => [domain, key])).toEqual(
      routingOf([home, office]).routes.map(({ domain, key }) => [domain, key]),
    );
  });
});

it('a single label goes where a domain of that name is, or everywhere when the configuration says so', () => {
  const lan = link({ servers: ['192.168.1.1'], searches: ['lan'] });
  expect(routeText(routingOf([lan]), 'lan', A)).toBe('eth0');
  expect(routeText(routingOf([home], true), 'nas', A)).toBe('eth0');
});

it.each([
  ['local', 'printer.local'],
  // Tor's own resolver (DNSPort), as an administrator may have it.
  ['onion', 'www.example.onion'],
])('.%s goes to a link that has it as a domain', (domain, name) => {
  const school = link({ servers: ['192.168.1.1'], searches: [`~${domain}`] });
  expect(routeText(routingOf([school]), name, A)).toBe('eth0');
});

describe('an exclusive VPN', () => {
  const full = { ...office, priority: -50, defaultRoute: true };
  it.each([
    ['www.example.com', A],
    ['nas.home.example', A],
    ['9.1.168.192.in-addr.arpa', PTR],
    ['odd name.home.example', A],
  ])('with a default route owns %s', (name, type) => {
    expect(routeText(routingOf([home, full]), name, type)).toBe('tun0');
  });

  it('with domains only owns those and leaves the rest', () => {
    const routing = routingOf([home, { ...office, priority: -50 }]);
    expect(routeText(routing, 'git.corp.example', A)).toBe('tun0');
    expect(routeText(routing, 'www.example.com', A)).toBe('eth0');
  });
});

describe('when there is no catch-all', () => {
  it('names outside the domains go to nobody', () => {
    expect(routeText(routingOf([office]), 'www.example.com', A)).toBe('nobody');
  });

  it('fallback servers are asked only while nobody has any', () => {
    const config = { ...DEFAULT_CONFIG, fallback: [must(parseServer('192.0.2.1'))] };
    const none = makeRouting(makePlan(snapshotOf([]), config), false);
    expect(routeText(none, 'www.example.com', A)).toBe('fallback');
    const some = makeRouting(makePlan(snapshotOf([office]), config), false);
    expect(routeText(some, 'www.example.com', A)).toBe('nobody');
  });
});

function routingOf(links: readonly LinkDns[], singleLabels = false): Routing {
  return makeRouting(makePlan(snapshotOf(links), DEFAULT_CONFIG), singleLabels);
}

function routeText(routing: Routing, name: string, type: number): string {
  const route = routing.routeOf(wireName(name.toLowerCase()), type);
  return typeof route === 'string' ? route : route.key;
}

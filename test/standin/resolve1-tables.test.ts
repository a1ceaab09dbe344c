import { expect, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { linkObject } from '../../src/standin/link-object.ts';
import { ifindexOfPath, linkPath } from '../../src/standin/link-path.ts';
import { resolve1Tree } from '../../src/standin/resolve1.ts';
import {
  LINK,
  LOG_CONTROL,
  LOG_CONTROL_PATH,
  MANAGER,
  MANAGER_PATH,
} from '../../src/standin/resolve1-tables.ts';
import type { InterfaceTable } from '../../src/system/bus-interface.ts';
import { signatureOf } from '../../src/system/bus-interface.ts';
import { toWire } from '../../src/system/message-body.ts';
import { linkState } from '../support/fake-network.ts';
import { must } from '../support/sample-status.ts';
import { standinGround } from '../support/standin.ts';

/** The interface as org.freedesktop.resolve1(5) writes it: name, what goes in, what comes out. */
const shape = ({ methods }: InterfaceTable): readonly string[] =>
  Object.entries(methods).map(([name, table]) =>
    `${name} ${signatureOf(table.in)} -> ${signatureOf(table.out)}`.trim(),
  );

test('the manager has every method of systemd-resolved with its signature', () => {
  expect(shape(MANAGER)).toEqual([
    'ResolveHostname isit -> a(iiay)st',
    'ResolveAddress iiayt -> a(is)t',
    'ResolveRecord isqqt -> a(iqqay)t',
    'ResolveService isssit -> a(qqqsa(iiay)s)aayssst',
    'GetLink i -> o',
    'SetLinkDNS ia(iay) ->',
    'SetLinkDNSEx ia(iayqs) ->',
    'SetLinkDomains ia(sb) ->',
    'SetLinkDefaultRoute ib ->',
    'SetLinkLLMNR is ->',
    'SetLinkMulticastDNS is ->',
    'SetLinkDNSOverTLS is ->',
    'SetLinkDNSSEC is ->',
    'SetLinkDNSSECNegativeTrustAnchors ias ->',
    'RevertLink i ->',
    'RegisterService sssqqqaa{say} -> o',
    'UnregisterService o ->',
    'GetDelegate s -> o',
    'ListDelegates  -> a(so)',
    'ResetStatistics  ->',
    'FlushCaches  ->',
    'ResetServerFeatures  ->',
  ]);
});

test('a link has every method of systemd-resolved with its signature', () => {
  expect(shape(LINK)).toEqual([
    'SetDNS a(iay) ->',
    'SetDNSEx a(iayqs) ->',
    'SetDomains a(sb) ->',
    'SetDefaultRoute b ->',
    'SetLLMNR s ->',
    'SetMulticastDNS s ->',
    'SetDNSOverTLS s ->',
    'SetDNSSEC s ->',
    'SetDNSSECNegativeTrustAnchors as ->',
    'Revert  ->',
  ]);
});

test.each([
  ['the manager', MANAGER_PATH, MANAGER],
  ['a link', linkPath(2), LINK],
  ['the log', LOG_CONTROL_PATH, LOG_CONTROL],
])(
  'something stands behind every method and property of %s, and each value fits its type',
  (_, path, table) => {
    const served = resolve1Tree(standinGround()).interfacesAt(path) ?? [];
    expect(served.map((each) => each.table)).toEqual([table]);
    const [only] = served;
    expect(Object.keys(only?.methods ?? {}).sort()).toEqual(Object.keys(table.methods).sort());
    expect(Object.keys(only?.get ?? {}).sort()).toEqual(Object.keys(table.properties).sort());
    const writable = Object.keys(table.properties).filter((name) => table.properties[name]?.writable);
    expect(Object.keys(only?.set ?? {}).sort()).toEqual(writable.sort());
    for (const [name, { signature }] of Object.entries(table.properties))
      expect(() => toWire(signature, [only?.get[name]?.()], () => undefined), name).not.toThrow();
  },
);

test('empty values fit their types as well', () => {
  const ground = standinGround({ links: () => [] });
  const link = { ...linkState({ ifindex: 9, name: 'new0' }), managedByNetworkd: false };
  const { get } = linkObject(ground, link);
  expect(get['CurrentDNSServerEx']?.()).toEqual([0, new Uint8Array(0), 0, '']);
  expect(() => toWire('(iayqs)', [get['CurrentDNSServerEx']?.()], () => undefined)).not.toThrow();
  expect(get['DefaultRoute']?.()).toBe(false);
  expect(get['ScopesMask']?.()).toBe(0n);
});

test.each([
  ['that runs', {}, 1n],
  ['without a carrier', { running: false }, 0n],
  ['without an address', { addresses: [] }, 0n],
])('a link %s has its servers, and a scope only when they can be asked', (_, state, scopes) => {
  const link = { ...linkState({ ifindex: 9, name: 'new0' }), managedByNetworkd: false, ...state };
  const ground = standinGround({ links: () => [link] });
  const servers = [{ address: must(parseAddress('192.0.2.53')), port: 0 }];
  const by = { name: 'resolvectl (pid 5, uid 0)', mirrored: false };
  ground.pushed.set({ ifindex: 9, interface: 'new0', tunnel: false }, { servers }, by);
  const { get } = linkObject(ground, link);
  expect(get['DNS']?.()).toHaveLength(1);
  expect(get['ScopesMask']?.()).toBe(scopes);
});

test.each([
  [1, '_31'],
  [2, '_32'],
  [12, '_312'],
  [345, '_3345'],
])('link %i is at the path that systemd gives it', (ifindex, label) => {
  expect(linkPath(ifindex)).toBe(`/org/freedesktop/resolve1/link/${label}`);
  expect(ifindexOfPath(linkPath(ifindex))).toBe(ifindex);
});

test.each(['_30', '_3', '2', '_32x', '_302', '_399999999999', '_32/x', ''])('%j is no link', (label) => {
  expect(ifindexOfPath(`/org/freedesktop/resolve1/link/${label}`)).toBeUndefined();
});

test('every link has an object, loopback included, and no other number has', () => {
  const tree = resolve1Tree(standinGround());
  expect(tree.paths()).toEqual([
    LOG_CONTROL_PATH,
    MANAGER_PATH,
    ...[1, 2, 3, 7, 12].map((ifindex) => linkPath(ifindex)),
  ]);
  for (const path of tree.paths()) expect(tree.interfacesAt(path), path).toBeDefined();
  expect(tree.interfacesAt(linkPath(4))).toBeUndefined();
});

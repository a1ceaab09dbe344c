import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { formatAddress, parseAddress } from '../../src/core/address.ts';
import { dumpRequest, readNetlink } from '../../src/system/netlink-messages.ts';
import { defaultRoutes, networkState } from '../../src/system/network-state.ts';
import * as netlink from '../support/netlink-bytes.ts';
import { must } from '../support/sample-status.ts';

const { attribute, message, linkMessage, addressMessage, routeMessage } = netlink;

test('several messages of one datagram are read, and what is unknown between them is passed over', () => {
  const bytes = Buffer.concat([
    linkMessage({ ifindex: 2, name: 'eth0', mtu: 1500 }),
    message(77, Buffer.alloc(12)),
    addressMessage({ ifindex: 2, address: '192.0.2.7', prefixLength: 24 }),
    linkMessage({ ifindex: 3, name: 'wg0', hardware: 65534, driver: 'wireguard', gone: true }),
    message(3, Buffer.alloc(4), 0x10),
  ]);
  expect(readNetlink(bytes)).toEqual([
    {
      kind: 'link',
      gone: false,
      ifindex: 2,
      name: 'eth0',
      hardware: 1,
      flags: 0x11043,
      mtu: 1500,
      driver: undefined,
    },
    {
      kind: 'address',
      gone: false,
      ifindex: 2,
      address: must(parseAddress('192.0.2.7')),
      prefixLength: 24,
      scope: 0,
      tentative: false,
    },
    {
      kind: 'link',
      gone: true,
      ifindex: 3,
      name: 'wg0',
      hardware: 65534,
      flags: 0x11043,
      mtu: undefined,
      driver: 'wireguard',
    },
    { kind: 'done', interrupted: true },
  ]);
});

describe('a message that is not what it says', () => {
  const link = linkMessage({ ifindex: 2, name: 'eth0' });
  const withLength = (length: number): Buffer => {
    const bytes = Buffer.from(link);
    bytes.writeUInt32LE(length, 0);
    return bytes;
  };
  it.each<[string, Buffer]>([
    ['is cut off', link.subarray(0, link.length - 4)],
    ['says that it is longer than it is', withLength(link.length + 1)],
    ['says that it is shorter than its head', withLength(15)],
    ['says that it has no length', withLength(0)],
    ['says that it is as long as numbers go', withLength(0xffff_ffff)],
    ['has no body', message(16, Buffer.alloc(0))],
    ['is of no link', linkMessage({ ifindex: 0, name: 'eth0' })],
    ['is of a link below all numbers', linkMessage({ ifindex: -1, name: 'eth0' })],
    [
      'is of an address longer than addresses are',
      message(20, Buffer.concat([Buffer.from([2, 24, 0, 0, 2, 0, 0, 0]), attribute(1, Buffer.alloc(5))])),
    ],
    [
      'is of an address with a prefix longer than it',
      addressMessage({ ifindex: 2, address: '192.0.2.7', prefixLength: 33 }),
    ],
    ['is of an address without one', message(20, Buffer.from([2, 24, 0, 0, 2, 0, 0, 0]))],
  ])('and %s gives nothing', (_, bytes) => {
    expect(readNetlink(bytes)).toEqual([]);
  });

  it('and has attributes that lie about their length gives what stands before them', () => {
    const bytes = linkMessage({ ifindex: 2, name: 'eth0', mtu: 1500 });
    bytes.writeUInt16LE(0xffff, 16 + 16 + 12); // of the MTU, which stands behind the name
    expect(readNetlink(bytes)).toMatchObject([{ name: 'eth0', mtu: undefined }]);
  });

  it.each(['', '.', '..', 'a/b', 'a b', 'sixteen-letters-', 'a\nb'])(
    'and calls a link %j gives it no name',
    (name) => {
      expect(readNetlink(linkMessage({ ifindex: 2, name }))).toMatchObject([{ ifindex: 2, name: undefined }]);
    },
  );
});

test('a port that leaves its bridge is still a link: the kernel tells it as a link of the family of bridges', () => {
  expect(readNetlink(linkMessage({ ifindex: 2, name: 'eth0', gone: true, family: 7 }))).toEqual([]);
});

test.each<[string, Parameters<typeof addressMessage>[0], object]>([
  [
    'the own end of a link with two ends',
    { local: '10.8.0.2', address: '10.8.0.1', prefixLength: 32 },
    { address: must(parseAddress('10.8.0.2')) },
  ],
  [
    'one that is being tried out',
    { address: 'fe80::1', prefixLength: 64, scope: 253, flags: 0x40 },
    { tentative: true, scope: 253 },
  ],
  [
    'one that somebody else has',
    { address: '2001:db8::1', prefixLength: 64, flags: 0x08 },
    { tentative: true },
  ],
  [
    'one that is there for good',
    { address: '2001:db8::1', prefixLength: 64, flags: 0x80 },
    { tentative: false },
  ],
])('an address: %s', (_, fields, wanted) => {
  expect(readNetlink(addressMessage({ ...fields, ifindex: 2 }))).toMatchObject([
    { kind: 'address', ...wanted },
  ]);
});

describe('routes', () => {
  it.each<[string, Parameters<typeof routeMessage>[0]]>([
    ['to one network', { destinationLength: 24 }],
    ['from one network only', { sourceLength: 24 }],
    ['of another table', { table: 51820 }],
    ['that end in nothing', { type: 7 }],
    ['of a family without addresses', { family: 28 }],
  ])('%s are none of ours', (_, fields) => {
    expect(readNetlink(routeMessage({ ifindex: 2, ...fields }))).toEqual([]);
  });

  it('are told with all ways they may take, the best first', () => {
    const messages = readNetlink(
      Buffer.concat([
        routeMessage({ ifindex: 2, gateway: '192.0.2.1', metric: 600 }),
        routeMessage({
          hops: [
            [5, '198.51.100.1'],
            [4, '203.0.113.1'],
          ],
          metric: 20,
        }),
        routeMessage({ ifindex: 7 }),
        routeMessage({ ifindex: 3, family: 10, gateway: 'fe80::1', metric: 1024 }),
        routeMessage({ ifindex: 6, via: 'fe80::2', metric: 700 }),
        routeMessage({ ifindex: 9, gone: true }),
      ]),
    );
    expect(defaultRoutes(messages)).toEqual([
      { family: 4, ifindex: 7, metric: 0 },
      { family: 4, ifindex: 4, metric: 20, gateway: '203.0.113.1' },
      { family: 4, ifindex: 5, metric: 20, gateway: '198.51.100.1' },
      { family: 4, ifindex: 2, metric: 600, gateway: '192.0.2.1' },
      { family: 4, ifindex: 6, metric: 700, gateway: 'fe80::2' },
      { family: 6, ifindex: 3, metric: 1024, gateway: 'fe80::1' },
    ]);
  });
});

test('options of a router are handed on as they came, with who sent them', () => {
  const options = Buffer.from([25, 3, 0, 0, 0, 0, 0, 60, ...Array.from({ length: 16 }, (_, i) => i)]);
  const [read] = readNetlink(netlink.routerOptionMessage({ ifindex: 4, options, router: 'fe80::1' }));
  expect(read).toMatchObject({ kind: 'router-option', ifindex: 4 });
  if (read?.kind !== 'router-option') throw new Error('no options');
  expect(Buffer.from(read.options)).toEqual(options);
  expect(read.router && formatAddress(read.router)).toBe('fe80::1');
  const lying = netlink.routerOptionMessage({ ifindex: 4, options, router: 'fe80::1' });
  lying.writeUInt16LE(0xffff, 16 + 2);
  expect(readNetlink(lying)).toEqual([]);
});

test('whatever bytes come, reading them ends and gives nothing that was not there', () => {
  const pieces = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .tuple(fc.constantFrom(2, 3, 4, 16, 17, 20, 21, 24, 25, 68), fc.uint8Array({ maxLength: 200 }))
      .map(([type, body]) => message(type, Buffer.from(body))),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const state = networkState();
      const messages = readNetlink(Buffer.concat(parts));
      for (const each of messages) state.apply(each);
      expect(state.links().every(({ name }) => /^[^\s/]{1,15}$/.test(name))).toBe(true);
      expect(defaultRoutes(messages).every(({ ifindex }) => ifindex > 0)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('a good message with a few bytes changed is still read within its bounds', () => {
  const good = Buffer.concat([
    linkMessage({ ifindex: 2, name: 'eth0', mtu: 1500, driver: 'veth' }),
    addressMessage({ ifindex: 2, address: '2001:db8::1', prefixLength: 64 }),
    routeMessage({
      hops: [
        [2, '192.0.2.1'],
        [3, '192.0.2.2'],
      ],
    }),
    netlink.routerOptionMessage({ ifindex: 2, options: Buffer.alloc(24), router: 'fe80::1' }),
  ]);
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat(good.length), (changes, end) => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes[at] = value;
      expect(readNetlink(bytes.subarray(0, end)).length).toBeLessThanOrEqual(good.length / 16);
    }),
    { numRuns: 2000 },
  );
});

test.each(['links', 'addresses', 'routes'] as const)('a request for all %s says how long it is', (what) => {
  const request = dumpRequest(what, 7);
  expect([request.readUInt32LE(0), request.readUInt16LE(6), request.readUInt32LE(8)]).toEqual([
    request.length,
    0x301,
    7,
  ]);
});

describe('links put together from messages', () => {
  const read = (bytes: Buffer) => readNetlink(bytes);
  function following(...first: readonly Buffer[]) {
    const state = networkState();
    for (const bytes of first) for (const each of read(bytes)) state.apply(each);
    return { state, apply: (bytes: Buffer) => read(bytes).flatMap((each) => state.apply(each) ?? []) };
  }

  it('keep what a short message does not repeat, as news of a wireless link', () => {
    const { state, apply } = following(
      linkMessage({ ifindex: 2, name: 'wlan0', mtu: 1400, driver: 'mac80211' }),
    );
    expect(apply(linkMessage({ ifindex: 2 }))).toEqual([]);
    expect(state.byIndex(2)).toMatchObject({ name: 'wlan0', mtu: 1400, driver: 'mac80211' });
  });

  it('are heard of once: the same again is no news', () => {
    const { apply } = following();
    const bytes = linkMessage({ ifindex: 2, name: 'eth0' });
    expect(apply(bytes)).toHaveLength(1);
    expect(apply(bytes)).toEqual([]);
    expect(apply(addressMessage({ ifindex: 2, address: '192.0.2.7', prefixLength: 24 }))).toHaveLength(1);
    expect(apply(addressMessage({ ifindex: 2, address: '192.0.2.7', prefixLength: 24 }))).toEqual([]);
  });

  it('are not made by an address or by a message without a name', () => {
    const { state, apply } = following();
    expect(apply(linkMessage({ ifindex: 2 }))).toEqual([]);
    expect(apply(addressMessage({ ifindex: 2, address: '192.0.2.7', prefixLength: 24 }))).toEqual([]);
    expect(apply(linkMessage({ ifindex: 2, name: 'eth0', gone: true }))).toEqual([]);
    expect(state.links()).toEqual([]);
  });

  it.each([
    ['it is switched on and has a carrier', 0x10001, true, true],
    ['it has no carrier', 0x1, true, false],
    ['it waits for somebody to let it in', 0x30001, true, false],
    ['it is switched off', 0x0, false, false],
  ])('run or not: %s', (_, flags, up, running) => {
    const { state } = following(linkMessage({ ifindex: 2, name: 'eth0', flags }));
    expect(state.byIndex(2)).toMatchObject({ up, running });
  });

  it('are the new ones when their number comes again, without the addresses of the old', () => {
    const { state, apply } = following(
      linkMessage({ ifindex: 2, name: 'eth0' }),
      addressMessage({ ifindex: 2, address: '192.0.2.7', prefixLength: 24 }),
    );
    const changes = apply(
      Buffer.concat([
        linkMessage({ ifindex: 2, name: 'eth0', gone: true }),
        linkMessage({ ifindex: 2, name: 'eth0' }),
      ]),
    );
    expect(changes.map(({ before, after }) => [before?.name, after?.name])).toEqual([
      ['eth0', undefined],
      [undefined, 'eth0'],
    ]);
    expect(state.byIndex(2)?.addresses).toEqual([]);
  });

  it('are compared after a loss: another name under the same number is another link', () => {
    const { state } = following(
      linkMessage({ ifindex: 2, name: 'eth0' }),
      linkMessage({ ifindex: 3, name: 'eth1' }),
      linkMessage({ ifindex: 4, name: 'eth2' }),
      linkMessage({ ifindex: 5, name: 'eth3' }),
    );
    const now = Buffer.concat([
      linkMessage({ ifindex: 3, name: 'tun0' }),
      linkMessage({ ifindex: 4, name: 'eth2' }),
      linkMessage({ ifindex: 5, name: 'eth3', mtu: 9000 }),
      linkMessage({ ifindex: 6, name: 'eth4' }),
    ]);
    expect(
      state.replace(read(now)).map(({ before, after }) => [before?.name, after?.name, after?.mtu]),
    ).toEqual([
      ['eth0', undefined, undefined],
      ['eth1', undefined, undefined],
      [undefined, 'tun0', 0],
      ['eth3', 'eth3', 9000],
      [undefined, 'eth4', 0],
    ]);
  });

  it('are no more than a machine has, and neither are the addresses of one', () => {
    const state = networkState();
    for (let ifindex = 1; ifindex <= 20_000; ifindex++)
      for (const each of read(linkMessage({ ifindex, name: `l${ifindex}` }))) state.apply(each);
    for (let n = 0; n < 600; n++)
      for (const each of read(
        addressMessage({ ifindex: 1, address: `10.0.${n >> 8}.${n & 255}`, prefixLength: 32 }),
      ))
        state.apply(each);
    expect([state.links().length, state.byIndex(1)?.addresses.length]).toEqual([16_384, 256]);
  });
});

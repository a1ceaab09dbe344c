import { expect, test } from 'vitest';
import type { Lookup, LookupOptions } from '../../src/core/lookup.ts';
import { makeCache } from '../../src/resolver/cache.ts';
import { resolverLookup } from '../../src/resolver/lookup.ts';
import type { Query } from '../../src/resolver/query.ts';
import { FLAG } from '../../src/resolver/wire.ts';
import { link, vpn } from '../support/links.ts';
import { anyWay, question } from '../support/lookup.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { type ResolverUnderTest, resolverOver } from '../support/resolver.ts';
import {
  addressAnswer,
  type Script,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';

const ETH0 = 2;
const TUN0 = 7;

interface World {
  readonly lookup: Lookup;
  readonly resolver: ResolverUnderTest;
  readonly clock: ManualClock;
  readonly home: ScriptedServer;
  readonly office: ScriptedServer;
  /** Queries whose answers the fast path was told. */
  readonly repeated: readonly Query[];
  /** The last byte of the address that a name has. */
  address(name: string, options?: Partial<LookupOptions>): Promise<number | string>;
}

/** Everything goes over `eth0` and `corp.example` over `tun0`, whose servers say 1 and 2, with a real cache. */
async function world(): Promise<World> {
  const clock = manualClock();
  const [home, office] = [await scriptedServer(says(1)), await scriptedServer(says(2))];
  const at = ({ host, port }: ScriptedServer): string => `dns+udp://${host}:${port}`;
  const repeated: Query[] = [];
  let resolver: ResolverUnderTest | undefined;
  const cache = makeCache({
    clock,
    routeKeyOf: (query) => resolver?.routeKeyOf(query) ?? '',
    onRepeated: (query) => void repeated.push(query),
  });
  resolver = resolverOver(
    [link({ servers: [at(home)] }), vpn({ servers: [at(office)], searches: ['~corp.example'] })],
    { cache: cache.stage, dropRoute: (route) => void cache.dropRoute(route) },
  );
  const numbers: Readonly<Record<string, number>> = { eth0: ETH0, tun0: TUN0 };
  const lookup = resolverLookup({ resolver, ifindexOf: (key) => numbers[key] ?? 0 });
  return {
    lookup,
    resolver,
    clock,
    home,
    office,
    repeated,
    async address(name, options = {}) {
      try {
        const { records } = await lookup(question(name), { ...anyWay, ...options });
        const [first] = records;
        return first?.value.kind === 'address' ? Number(first.value.bytes.at(-1)) : 'nothing';
      } catch (error) {
        return (error as { failure: string }).failure;
      }
    },
  };
}

const says =
  (last: number): Script =>
  (asked) =>
    addressAnswer(asked, `192.0.2.${last}`, 300);

test('a lookup that is limited to a link asks that link’s servers alone, also for a name that goes elsewhere', async () => {
  const { address, home, office } = await world();
  expect(await address('git.corp.example')).toBe(2);
  expect(await address('git.corp.example', { ifindex: ETH0 })).toBe(1);
  expect(await address('git.corp.example', { ifindex: TUN0 })).toBe(2);
  expect([home.asked.length, office.asked.length]).toEqual([1, 1]);
});

test('a link that takes no other names is not asked for them', async () => {
  const { address, office } = await world();
  expect(await address('www.example', { ifindex: TUN0 })).toBe('no-servers');
  expect(office.asked).toEqual([]);
});

test('what one link said is not told to who asks everybody, and is forgotten with the link’s network', async () => {
  const { address, home, resolver } = await world();
  expect(await address('git.corp.example', { ifindex: ETH0 })).toBe(1);
  expect(await address('git.corp.example')).toBe(2);
  home.script = says(9);
  expect(await address('git.corp.example', { ifindex: ETH0 })).toBe(1);
  resolver.plan([
    link({
      servers: [`dns+udp://${home.host}:${home.port}`],
      connection: { id: 'Other', uuid: 'x', type: 'y' },
    }),
  ]);
  expect(await address('git.corp.example', { ifindex: ETH0 })).toBe(9);
});

test('the fast path, which answers everybody alike, hears nothing of lookups with wishes', async () => {
  const { address, repeated } = await world();
  for (const options of [{ ifindex: ETH0 }, { singleLabels: true }, { stale: false }])
    for (let times = 0; times < 3; times++) await address('www.example', options);
  expect(repeated).toEqual([]);
  await address('www.example');
  expect(repeated).toHaveLength(1);
});

test('who wants no network gets what is remembered, and no server hears of it', async () => {
  const { address, home } = await world();
  expect(await address('www.example', { network: false })).toBe('no-servers');
  expect(await address('www.example')).toBe(1);
  expect(await address('www.example', { network: false })).toBe(1);
  expect(await address('www.example', { network: false, cache: false })).toBe('no-servers');
  expect(home.asked).toHaveLength(1);
});

test('a lookup without network spoils nothing: the next one asks, and prefetching still leads to the servers', async () => {
  const { address, home, clock } = await world();
  await address('www.example');
  for (let times = 0; times < 5; times++) await address('www.example');
  clock.advance(290_000);
  await address('www.example', { network: false });
  await address('www.example');
  await expect.poll(() => home.asked.length).toBe(2);
});

test('who wants nothing stale waits for the servers, and the old answer stays for the others', async () => {
  const { address, home, clock } = await world();
  await address('www.example');
  clock.advance(400_000);
  home.script = () => undefined;
  const leaving = new AbortController();
  const fresh = address('www.example', { stale: false, signal: leaving.signal });
  await expect.poll(() => home.asked.length).toBeGreaterThan(1);
  leaving.abort();
  expect(await fresh).toBe('aborted');
  const old = address('www.example');
  await expect.poll(() => clock.waiting).toBeGreaterThan(0);
  clock.advance(2000);
  expect(await old).toBe(1);
});

test('a single label is asked of servers only for who wants that', async () => {
  const { lookup, address, home } = await world();
  await expect(lookup(question('printer'), anyWay)).resolves.toMatchObject({ rcode: 3, from: 'local' });
  expect(home.asked).toEqual([]);
  expect(await address('printer', { singleLabels: true })).toBe(1);
});

test.each([
  ['may', true, 0],
  ['may not', false, FLAG.checkingDisabled],
])('a server that %s validate is told so', async (_, validate, bit) => {
  const { address, home } = await world();
  await address('www.example', { validate });
  expect((home.asked[0]?.wire.readUInt16BE(2) ?? 0) & FLAG.checkingDisabled).toBe(bit);
});

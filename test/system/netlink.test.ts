import { openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parsePrefix } from '../../src/core/address.ts';
import { formatLinkAddress } from '../../src/core/link-state.ts';
import { systemClock } from '../../src/system/clock.ts';
import { type Libc, loadLibc } from '../../src/system/libc.ts';
import { LOST, type NetlinkCalls, NOTHING_CAME } from '../../src/system/libc-netlink.ts';
import { silentLog } from '../../src/system/log.ts';
import { openNetlink } from '../../src/system/netlink.ts';
import { kernelNetworkContract, type NetworkWorld } from '../contracts/kernel-network.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { manualClock } from '../support/manual-clock.ts';
import { linkMessage, message, routeMessage } from '../support/netlink-bytes.ts';
import { networkNamespace, noNamespaces } from '../support/network-namespace.ts';
import { unless } from '../support/root-only.ts';
import { must } from '../support/sample-status.ts';
import { until } from '../support/until.ts';

/** koffi is a dependency of ours, so here it must load. */
const libc = loadLibc((reason) => {
  throw new Error(reason);
}) as Libc;

kernelNetworkContract('the kernel', kernelWorld, noNamespaces);
kernelNetworkContract('the fake', async () => fakeWorld(), undefined);

describe('a kernel that is hard to hear', () => {
  const eth0 = linkMessage({ ifindex: 2, name: 'eth0' });
  const eth1 = linkMessage({ ifindex: 3, name: 'eth1' });
  const done = message(3, Buffer.alloc(4));

  function listening(kernel: ScriptedKernel) {
    const clock = manualClock();
    const before = process.listenerCount('SIGIO');
    const network = openNetlink({ calls: kernel.calls, clock, log: silentLog });
    onTestFinished(() => network.close());
    const heard: string[] = [];
    network.onLink(({ before, after }) => heard.push(`${before?.name ?? '-'} > ${after?.name ?? '-'}`));
    return { network, clock, heard, before };
  }

  it.each<[string, number | Buffer]>([
    ['loses what it said', LOST],
    ['says more than fits', Buffer.alloc(100_000)],
    ['cannot be heard', -9],
    ['says that it lost something', message(4, Buffer.alloc(0))],
  ])('is asked for all there is when it %s, after what it said before', (_, trouble) => {
    const kernel = scriptedKernel({ links: [[eth0, done]], routes: [[done]] });
    const { network, heard } = listening(kernel);
    kernel.answers.links = [[eth1, done]];
    kernel.answers.routes = [[routeMessage({ ifindex: 3, gateway: '192.0.2.1' }), done]];
    let routes = 0;
    network.onRoutes(() => routes++);
    kernel.say(linkMessage({ ifindex: 9, name: 'eth9' }), trouble, linkMessage({ ifindex: 9, gone: true }));
    process.emit('SIGIO', 'SIGIO');
    if (trouble === -9) process.emit('SIGIO', 'SIGIO');
    expect(new Set(heard)).toEqual(new Set(['- > eth9', 'eth9 > -', 'eth0 > -', '- > eth1']));
    expect(network.links().map(({ name }) => name)).toEqual(['eth1']);
    expect([routes, network.defaultRoutes().length]).toEqual([1, 1]);
    expect(network.problem).toBeUndefined();
  });

  it('is asked again when something changed while it told', () => {
    const interrupted = message(3, Buffer.alloc(4), 0x10);
    const kernel = scriptedKernel({ links: [[eth0, interrupted]], routes: [[done]] });
    kernel.next.links = [[eth0], [eth1, done]];
    const { network } = listening(kernel);
    expect(network.links().map(({ name }) => name)).toEqual(['eth0', 'eth1']);
  });

  it('that refuses is said to, and asked again later', () => {
    const kernel = scriptedKernel({ links: [[eth0, done]], routes: [[done]] });
    const { network, clock, heard } = listening(kernel);
    const refusal = Buffer.alloc(20);
    refusal.writeInt32LE(-12, 0);
    kernel.answers.links = [[message(2, refusal)]];
    kernel.say(LOST);
    expect(network.links().map(({ name }) => name)).toEqual(['eth0']);
    expect(network.problem).toBe(
      'Links that come and go are noticed late: the kernel did not tell its links: error 12.',
    );
    kernel.answers.links = [[eth1, done]];
    clock.advance(1000);
    expect([network.problem, heard]).toEqual([undefined, ['eth0 > -', '- > eth1']]);
  });

  it('at the start leaves nothing behind but the reason', () => {
    const before = [process.listenerCount('SIGIO'), process.listenerCount('exit')];
    const kernel = scriptedKernel({ links: [[]], routes: [[done]] });
    expect(() => openNetlink({ calls: kernel.calls, clock: manualClock(), log: silentLog })).toThrow(
      'the kernel did not tell its links: receiving ended with -11',
    );
    expect([process.listenerCount('SIGIO'), process.listenerCount('exit')]).toEqual(before);
  });

  it('with too much to say is heard bit by bit, and others have their turns between', async () => {
    const kernel = scriptedKernel({ links: [[eth0, done]], routes: [[done]] });
    const { heard } = listening(kernel);
    kernel.say(...Array.from({ length: 1000 }, (_, n) => linkMessage({ ifindex: 10 + n, name: `l${n}` })));
    process.emit('SIGIO', 'SIGIO');
    expect(heard).toHaveLength(256);
    await until(() => heard.length === 1000, 'all is heard');
  });

  it('is not read twice when somebody looks at the links while hearing of one', () => {
    const kernel = scriptedKernel({ links: [[eth0, done]], routes: [[done]] });
    const { network } = listening(kernel);
    const seen: number[] = [];
    network.onLink(() => seen.push(network.links().length));
    const both = Buffer.concat([eth1, linkMessage({ ifindex: 4, name: 'eth2' })]);
    kernel.say(both, linkMessage({ ifindex: 5, name: 'eth3' }));
    process.emit('SIGIO', 'SIGIO');
    expect(seen).toEqual([2, 3, 4]);
  });

  it('is heard by nobody after the end', () => {
    const kernel = scriptedKernel({ links: [[eth0, done]], routes: [[done]] });
    const { network, heard, before } = listening(kernel);
    network.close();
    network.close();
    kernel.say(eth1);
    process.emit('SIGIO', 'SIGIO');
    expect([heard, process.listenerCount('SIGIO')]).toEqual([[], before]);
  });
});

describe.skipIf(noNamespaces !== undefined)(unless(noNamespaces, 'routers'), () => {
  it('are asked on a link that is there, and on no other', async () => {
    const namespace = await networkNamespace();
    onTestFinished(() => namespace.close());
    const { ip, inside } = namespace;
    ip('link add dk0 index 70 type veth peer name dk1');
    ip('link set dk1 up');
    ip('link set dk0 up');
    // Nobody else has the address, so that nobody has to wait until that is certain.
    ip('address add fe80::a/64 dev dk0 nodad');
    await until(() => inside(() => libc.netlink.solicitRouters(70)), 'the link can send');
    expect(inside(() => libc.netlink.solicitRouters(71 << 8))).toBe(false);
  });
});

interface ScriptedKernel {
  readonly calls: NetlinkCalls;
  /** Datagrams with which each request is answered. */
  readonly answers: { links: Buffer[][]; routes: Buffer[][] };
  /** The same for the requests after the next. */
  readonly next: { links?: Buffer[][] };
  /** Datagrams, or error numbers, that come on their own. */
  say(...what: readonly (Buffer | number)[]): void;
}

/** A kernel that says what the test says; it has no addresses. */
function scriptedKernel(first: { links: Buffer[][]; routes: Buffer[][] }): ScriptedKernel {
  const answers = { ...first };
  const next: ScriptedKernel['next'] = {};
  const said: (Buffer | number)[] = [];
  const waiting = new Map<number, Buffer[]>();
  let listener = -1;
  const take = (what: Buffer | number | undefined, into: Buffer): number => {
    if (what === undefined) return NOTHING_CAME;
    if (typeof what === 'number') return what;
    what.copy(into);
    return what.length;
  };
  return {
    answers,
    next,
    say: (...what) => void said.push(...what),
    calls: {
      open(groups) {
        const fd = openSync('/dev/null', 'r');
        if (groups !== 0) listener = fd;
        return fd;
      },
      signalArrivals() {},
      solicitRouters: () => false,
      ask(fd, request) {
        const type = request.readUInt16LE(4);
        const done = [[message(3, Buffer.alloc(4))]];
        const datagrams = type === 18 ? answers.links : type === 26 ? answers.routes : done;
        if (type === 18 && next.links !== undefined) answers.links = next.links;
        waiting.set(
          fd,
          datagrams.map((parts) => Buffer.concat(parts)).filter(({ length }) => length > 0),
        );
        return true;
      },
      receive: (fd, into) => take(fd === listener ? said.shift() : waiting.get(fd)?.shift(), into),
    },
  };
}

async function kernelWorld(): Promise<NetworkWorld> {
  const namespace = await networkNamespace();
  onTestFinished(() => namespace.close());
  const { ip, inside } = namespace;
  const open = (groups: number): number => inside(() => libc.netlink.open(groups));
  return {
    open: () => openNetlink({ calls: { ...libc.netlink, open }, clock: systemClock, log: silentLog }),
    add(name) {
      ip(`link add ${name} type veth peer name ${name}-peer`);
      ip(`link set ${name}-peer up`);
    },
    remove: (name) => ip(`link delete ${name}`),
    rename: (name, to) => ip(`link set ${name} name ${to}`),
    setUp: (name, up) => ip(`link set ${name} ${up ? 'up' : 'down'}`),
    addAddress: (name, address) => ip(`address add ${address} dev ${name}`),
    removeAddress: (name, address) => ip(`address delete ${address} dev ${name}`),
    addDefaultRoute: (name, gateway, metric) =>
      ip(`route add default via ${gateway} dev ${name} metric ${metric}`),
  };
}

/** Two who look at one network: what is done is done to each. */
function fakeWorld(): NetworkWorld {
  const loopback = linkState({ ifindex: 1, name: 'lo', loopback: true });
  const kernel = fakeNetwork([loopback]);
  const seen = [kernel];
  const numbers = new Map<string, number>();
  let next = 2;
  const change = (
    name: string,
    how: (link: ReturnType<typeof linkState>) => ReturnType<typeof linkState>,
  ) => {
    const link = kernel.byIndex(numbers.get(name) ?? 0);
    if (link === undefined) throw new Error(`no link ${name}`);
    const after = how(link);
    for (const network of seen) network.put(after);
  };
  return {
    open() {
      const network = fakeNetwork(kernel.links());
      network.route(kernel.defaultRoutes());
      seen.push(network);
      return network;
    },
    add(name) {
      numbers.set(name, next++);
      const link = linkState({ ifindex: next - 1, name, up: false, running: false, addresses: [] });
      for (const network of seen) network.put(link);
    },
    remove(name) {
      for (const network of seen) network.remove(numbers.get(name) ?? 0);
    },
    rename(name, to) {
      change(name, (link) => ({ ...link, name: to }));
      numbers.set(to, numbers.get(name) ?? 0);
    },
    setUp: (name, up) => change(name, (link) => ({ ...link, up, running: up })),
    addAddress(name, text) {
      const { address, length } = must(parsePrefix(text));
      const added = { address, prefixLength: length, global: true };
      change(name, (link) => ({ ...link, addresses: [...link.addresses, added] }));
    },
    removeAddress: (name, text) =>
      change(name, (link) => ({
        ...link,
        addresses: link.addresses.filter((each) => formatLinkAddress(each) !== text),
      })),
    addDefaultRoute(name, gateway, metric) {
      const route = { family: 4, ifindex: numbers.get(name) ?? 0, metric, gateway } as const;
      for (const network of seen) network.route([...network.defaultRoutes(), route]);
    },
  };
}

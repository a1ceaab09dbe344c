import { describe, expect, it, onTestFinished, test } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import type { SourceEvent } from '../../src/core/snapshot.ts';
import { dropWithLinks } from '../../src/sources/links.ts';
import { pushedLinks } from '../../src/sources/pushed-links.ts';
import { silentLog } from '../../src/system/log.ts';
import { fakeNetwork, linkState } from '../support/fake-network.ts';
import { must } from '../support/sample-status.ts';

const BY = { name: 'openvpn (pid 812, uid 0)', mirrored: false };
const TUN = { ifindex: 7, interface: 'tun0', tunnel: true };
const server = (text: string) => ({ address: must(parseAddress(text)), port: 0 });

function listening() {
  const source = pushedLinks(silentLog);
  const events: SourceEvent[] = [];
  const stop = new AbortController();
  source.start((event) => events.push(event), stop.signal);
  const told = () =>
    events.flatMap((event) =>
      event.kind === 'state'
        ? [`${event.cause}: ${event.state.links.map((link) => link.servers).join(' ')}`]
        : [],
    );
  return { source, told, stop };
}

test('it speaks on its own, then at every change, and says nothing twice', () => {
  const { source, told } = listening();
  source.set(TUN, { servers: [server('10.8.0.1')] }, BY);
  source.set(TUN, { servers: [server('10.8.0.1')] }, BY);
  source.set(TUN, { llmnr: 'no' }, BY);
  source.revert(7, BY);
  source.revert(7, BY);
  expect(told()).toEqual([
    'dnskeeperd started: ',
    'openvpn (pid 812, uid 0) set DNS of tun0: 10.8.0.1',
    'openvpn (pid 812, uid 0) set DNS of tun0: 10.8.0.1',
    'openvpn (pid 812, uid 0) took back DNS of tun0: ',
  ]);
  expect(source.all()).toEqual([]);
});

test('settings go with their link, also when its number comes to another', () => {
  const { source, told } = listening();
  source.set(TUN, { servers: [server('10.8.0.1')] }, BY);
  source.set({ ifindex: 8, interface: 'tun1', tunnel: true }, { servers: [server('10.9.0.1')] }, BY);
  source.keepOnly([
    { ifindex: 7, interface: 'tun0' },
    { ifindex: 8, interface: 'eth9' },
  ]);
  expect(source.all().map((link) => link.interface)).toEqual(['tun0']);
  expect(told().at(-1)).toBe('a link went away: 10.8.0.1');
  source.set({ ifindex: 7, interface: 'tun5', tunnel: true }, { defaultRoute: true }, BY);
  expect(source.get(7)?.settings, 'a new link does not inherit').toEqual({ defaultRoute: true });
});

test('what was taken back leaves nothing', () => {
  const { source } = listening();
  source.set(TUN, { servers: [server('10.8.0.1')] }, BY);
  source.set(TUN, { servers: [] }, BY);
  expect(source.get(7)).toBeUndefined();
});

test('nothing is told after the stop', async () => {
  const { source, told, stop } = listening();
  stop.abort();
  source.set(TUN, { servers: [server('10.8.0.1')] }, BY);
  await source.close();
  source.revert(7, BY);
  expect(told()).toEqual(['dnskeeperd started: ']);
});

test('there is a bound on links', () => {
  const { source } = listening();
  for (let ifindex = 1; ifindex <= 4096; ifindex++)
    source.set({ ifindex, interface: `v${ifindex}`, tunnel: false }, { llmnr: 'no' }, BY);
  expect(() => source.set({ ifindex: 5000, interface: 'v5000', tunnel: false }, { llmnr: 'no' }, BY)).toThrow(
    RangeError,
  );
  source.set({ ifindex: 1, interface: 'v1', tunnel: false }, { llmnr: 'yes' }, BY);
  expect(source.get(1)?.settings).toEqual({ llmnr: 'yes' });
});

describe('a link of the kernel', () => {
  const tun = linkState({ ifindex: 7, name: 'tun0' });

  function pushedTo() {
    const network = fakeNetwork([tun]);
    const { source, told } = listening();
    const changed: number[] = [];
    source.onChange((ifindex) => changed.push(ifindex));
    onTestFinished(dropWithLinks(network, source));
    source.set(TUN, { servers: [server('10.8.0.1')] }, BY);
    return { network, source, told, changed };
  }

  it('takes along what was set for it when it goes, though no plan has changed', () => {
    const { network, source, told, changed } = pushedTo();
    network.remove(7);
    expect(source.all()).toEqual([]);
    expect(told().at(-1)).toBe('the link tun0 went away: ');
    expect(changed).toEqual([7, 7]);
    network.remove(7);
    expect(changed).toEqual([7, 7]);
  });

  it('keeps nothing of one that had its number and name before', () => {
    const { network, source } = pushedTo();
    network.remove(7);
    network.put(tun);
    expect(source.get(7)).toBeUndefined();
  });

  it('keeps what was set for it when it is renamed, and when it goes up or down', () => {
    const { network, source, told, changed } = pushedTo();
    network.put({ ...tun, up: false });
    expect(changed).toEqual([7]);
    network.put({ ...tun, name: 'vpn0' });
    expect(source.get(7)).toMatchObject({ interface: 'vpn0', settings: { servers: [server('10.8.0.1')] } });
    expect(told().at(-1)).toBe('the link tun0 is called vpn0 now: 10.8.0.1');
    expect(changed, 'whoever keeps it under its name hears of it').toEqual([7, 7]);
  });

  it('takes nothing along that was set for others', () => {
    const { network, source } = pushedTo();
    network.put(linkState({ ifindex: 8, name: 'tun1' }));
    network.remove(8);
    expect(source.all()).toHaveLength(1);
  });
});

import { closeSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { doorbell } from '../../src/resolver/doorbell.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { askOverUdp, queryWire } from '../support/ask.ts';
import { until } from '../support/until.ts';

const libc = loadLibc();
const loopback = parseAddress('127.0.0.1');

function socket(): { readonly fd: number; readonly port: number } {
  if (libc === undefined || !loopback.ok) throw new Error('wanted koffi and an address');
  const fd = libc.datagrams.bindUdp(loopback.value, 0);
  return { fd, port: libc.sockets.describe(fd)?.port ?? 0 };
}

const send = (port: number): void =>
  void askOverUdp('127.0.0.1', port, queryWire('www.example.com')).catch(() => {}); // nobody answers

function bell() {
  if (libc === undefined) throw new Error('wanted koffi');
  let rings = 0;
  const made = doorbell(libc, () => rings++);
  onTestFinished(() => made.close());
  return { made, rings: () => rings };
}

describe('a doorbell', () => {
  it('rings once at the first packet in any of its sockets, and leaves the packet there', async () => {
    const [one, two] = [socket(), socket()];
    const { made, rings } = bell();
    await made.watch([one.fd]);
    await made.watch([one.fd, two.fd]);
    expect(rings()).toBe(0);
    send(two.port);
    await until(() => rings() === 1, 'it rings');
    send(one.port);
    const again = bell();
    await again.made.watch([two.fd]);
    await until(() => again.rings() === 1, 'the packet is still there');
    expect(rings()).toBe(1);
    for (const { fd } of [one, two]) closeSync(fd);
  });

  it('lets go of a socket that it is told to leave, and never rings for it', async () => {
    const [left, kept] = [socket(), socket()];
    const { made, rings } = bell();
    await made.watch([left.fd, kept.fd]);
    await made.watch([kept.fd]);
    send(left.port);
    const other = bell();
    await other.made.watch([left.fd]);
    await until(() => other.rings() === 1, 'the packet has come');
    expect(rings()).toBe(0);
    await made.close();
    expect(rings()).toBe(0);
    for (const { fd } of [left, kept]) closeSync(fd);
  });

  it('is closed without ever having waited', async () => {
    await bell().made.close();
  });
});

import type { ListenAt, Listener, Reception } from './listener.ts';
import { listenTcp } from './listener-tcp.ts';
import { listenUdp } from './listener-udp.ts';

/**
 * One address over both transports, or over the one that is wanted alone. TCP first: it is where another program on the same address is noticed, because the
 * datagram socket may share it (a systemd-resolved that starts while we still answer must get its own).
 */
export async function listenBoth(
  at: ListenAt,
  reception: Reception,
  overUdp: (at: ListenAt, reception: Reception) => Promise<Listener> = listenUdp,
  overTcp: (at: ListenAt, reception: Reception) => Promise<Listener> = listenTcp,
): Promise<readonly Listener[]> {
  if (at.transport === 'udp') return [await overUdp(at, reception)];
  const tcp = await overTcp(at, reception);
  if (at.transport === 'tcp') return [tcp];
  try {
    return [await overUdp(tcp.at, reception), tcp];
  } catch (error) {
    await tcp.close();
    throw error;
  }
}

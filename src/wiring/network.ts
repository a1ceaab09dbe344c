import { messageOf } from '../core/errors.ts';
import { dropWithLinks } from '../sources/links.ts';
import { systemClock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../system/log.ts';
import { type KernelNetwork, openNetlink } from '../system/netlink.ts';
import { sysfsNetwork } from '../system/sysfs-network.ts';
import type { Ground } from './ground.ts';

/** The machine's network: from the kernel, or, where that does not tell, as sysfs shows it below `root`. */
export function openNetwork(root: string, libc: Libc | undefined, log: Log): KernelNetwork {
  if (root !== '' || libc === undefined) return sysfsNetwork(root);
  try {
    return openNetlink({ calls: libc.netlink, clock: systemClock, log });
  } catch (error) {
    log.warn({}, `Links are not followed: ${messageOf(error)}`);
    return sysfsNetwork(root);
  }
}

/** What was told of a link goes with it, and what waited for a link is told when it comes. */
export function followNetwork({ network, records, resolve1, held }: Ground): void {
  if (resolve1 !== undefined) held.defer(dropWithLinks(network, resolve1.pushed));
  const stop = network.onLink(({ before, after }) => {
    if (before?.name === after?.name) return;
    records.look(
      after === undefined ? `the link ${before?.name} went away` : `the link ${after.name} is there`,
    );
  });
  held.defer(stop);
}

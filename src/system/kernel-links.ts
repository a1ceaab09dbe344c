import type { LinkState } from '../core/link-state.ts';
import { parseNetworkdLink } from '../core/networkd-link-file.ts';
import type { KernelNetwork } from './netlink.ts';
import { readPlainFile } from './plain-file.ts';
import { sysfsNetwork } from './sysfs-network.ts';

/** A network link as the kernel and systemd-networkd tell it. */
export interface KernelLink extends LinkState {
  /** systemd-networkd configures it, and would overwrite what somebody else sets. */
  readonly managedByNetworkd: boolean;
  /** systemd-networkd's word for what it can do: `degraded`, `routable`, …; absent where it says nothing. */
  readonly operationalState?: string;
}

/** The links of the machine as they are now. */
export interface KernelLinks {
  /** In the order of their numbers. */
  all(): readonly KernelLink[];
  byIndex(ifindex: number): KernelLink | undefined;
}

/**
 * Links as `network` tells them, with what systemd-networkd says below `root`, which is `` for the machine itself. Its
 * files live in memory and are read anew at each call.
 */
export function kernelLinks(
  root = '',
  network: Pick<KernelNetwork, 'links' | 'byIndex'> = sysfsNetwork(root),
): KernelLinks {
  const withNetworkd = (link: LinkState): KernelLink => {
    const text = textOf(`${root}/run/systemd/netif/links/${link.ifindex}`);
    if (text === undefined) return { ...link, managedByNetworkd: false };
    const { managed, operationalState } = parseNetworkdLink(text);
    return {
      ...link,
      managedByNetworkd: managed,
      ...(operationalState === undefined ? {} : { operationalState }),
    };
  };
  return {
    all: () => network.links().map(withNetworkd),
    byIndex(ifindex) {
      const link = network.byIndex(ifindex);
      return link && withNetworkd(link);
    },
  };
}

/** More than systemd-networkd writes for one link. */
const MOST_BYTES = 256 * 1024;

/** Undefined where systemd-networkd does not know the link, or its user has put something else there. */
function textOf(path: string): string | undefined {
  const bytes = readPlainFile(path, MOST_BYTES);
  return Buffer.isBuffer(bytes) ? bytes.toString('latin1') : undefined;
}

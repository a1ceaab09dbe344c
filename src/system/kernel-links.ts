import { readdirSync, readFileSync } from 'node:fs';

/** A network link as the kernel and systemd-networkd tell it. */
export interface KernelLink {
  readonly ifindex: number;
  readonly name: string;
  readonly loopback: boolean;
  /** It carries packets without a link layer, as tun and WireGuard do. */
  readonly tunnel: boolean;
  /** systemd-networkd configures it, and would overwrite what somebody else sets. */
  readonly managedByNetworkd: boolean;
}

/** The links of the machine; read anew at each call, because both folders live in memory. */
export interface KernelLinks {
  /** In the order of their numbers. */
  all(): readonly KernelLink[];
  byIndex(ifindex: number): KernelLink | undefined;
}

/** Links below `root`, which is `` for the machine itself. */
export function kernelLinks(root = ''): KernelLinks {
  const sys = `${root}/sys/class/net`;
  const read = (name: string): KernelLink | undefined => {
    const ifindex = numberIn(`${sys}/${name}/ifindex`);
    const type = numberIn(`${sys}/${name}/type`);
    if (ifindex === undefined || type === undefined) return undefined;
    const managedByNetworkd = isManaged(textOf(`${root}/run/systemd/netif/links/${ifindex}`));
    return { ifindex, name, loopback: type === LOOPBACK, tunnel: type === NO_LINK_LAYER, managedByNetworkd };
  };
  // A link is asked for again and again by its number: where it was last time is looked at first.
  const names = new Map<number, string>();
  const all = (): readonly KernelLink[] => {
    const links = namesIn(sys)
      .map(read)
      .filter((link) => link !== undefined)
      .sort((a, b) => a.ifindex - b.ifindex);
    names.clear();
    for (const { ifindex, name } of links) names.set(ifindex, name);
    return links;
  };
  return {
    all,
    byIndex(ifindex) {
      const name = names.get(ifindex);
      const link = name === undefined ? undefined : read(name);
      return link?.ifindex === ifindex ? link : all().find((each) => each.ifindex === ifindex);
    },
  };
}

/** ARPHRD_LOOPBACK and ARPHRD_NONE of linux/if_arp.h. */
const LOOPBACK = 772;
const NO_LINK_LAYER = 65534;

/** A link file of systemd-networkd: only these states leave the link to others. */
function isManaged(linkFile: string | undefined): boolean {
  const state = linkFile === undefined ? undefined : /^ADMIN_STATE=(.*)$/m.exec(linkFile)?.[1];
  return state !== undefined && !['pending', 'initialized', 'unmanaged'].includes(state);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no sysfs: nothing is known of links
  }
}

function numberIn(path: string): number | undefined {
  const text = textOf(path);
  const number = text === undefined ? Number.NaN : Number(text);
  return Number.isInteger(number) ? number : undefined;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').slice(0, 65_536);
  } catch {
    return undefined; // it went away between its mention and now
  }
}

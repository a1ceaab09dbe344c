import { join } from 'node:path';

/** Every path dnskeeper touches, with the `--root` prefix already in front. */
export interface Paths {
  /** The prefix; '' on a live system. */
  readonly root: string;
  readonly mode: 'system' | 'user';
  readonly runtime: string;
  readonly resolvConf: string;
  readonly upstreamConf: string;
  /** Folder of systemd-resolved, which is ours while we stand in for it. */
  readonly resolvedFolder: string;
  readonly socket: string;
  readonly lock: string;
  /** The profile that somebody chose by hand. */
  readonly profileChoice: string;
  /** /etc/resolv.conf; in user mode it is only looked at. */
  readonly etcResolvConf: string;
  /** Text that our symlink carries: absolute on a live system, relative under a root so that it holds inside and outside. */
  readonly linkText: string;
  /** Folder of the saved original. */
  readonly original: string;
  /** Marker that an administrator released the link; survives reboots. */
  readonly released: string;
  /** Names that the administrator wrote down: hosts(5). */
  readonly hosts: string;
  readonly configFile: string;
  /** Drop-in folders, weakest first; the file stands between vendor and local drop-ins. */
  readonly vendorConfigFolder: string;
  readonly localConfigFolder: string;
  /** Files of network namespaces, as ip-netns(8) has them. */
  readonly netnsFolder: string;
  /** Programs of the administrator that are run after a change. */
  readonly hooksFolder: string;
  /** Where systemd has such programs run outside our confinement (dnskeeper-hooks.socket). */
  readonly hooksSocket: string;
  /** Further settings of the administrator's for a dnsmasq or unbound that we start. */
  readonly dnsmasqFolder: string;
  readonly unboundFolder: string;
  /** Where systemd keeps its configuration, strongest first (systemd-system.conf(5)). */
  readonly systemdFolders: readonly string[];
}

/** The paths of a system daemon below `root` ('' for the machine itself). */
export function systemPaths(root: string): Paths {
  const at = (path: string): string => (root === '' ? path : join(root, path));
  return {
    ...configPaths(at),
    root,
    mode: 'system',
    ...runtimePaths(at('/run/dnskeeper')),
    etcResolvConf: at('/etc/resolv.conf'),
    hosts: at('/etc/hosts'),
    resolvedFolder: at('/run/systemd/resolve'),
    netnsFolder: at('/etc/netns'),
    linkText: root === '' ? '/run/dnskeeper/resolv.conf' : '../run/dnskeeper/resolv.conf',
    original: at('/var/lib/dnskeeper/original'),
    released: at('/var/lib/dnskeeper/released'),
  };
}

/** The paths of a daemon without root: own runtime folder, /etc only read. */
export function userPaths(xdgRuntime: string): Paths {
  const runtime = join(xdgRuntime, 'dnskeeper');
  return {
    ...systemPaths(''),
    mode: 'user',
    ...runtimePaths(runtime),
    original: join(runtime, 'original'),
    released: join(runtime, 'released'),
  };
}

function configPaths(
  at: (path: string) => string,
): Pick<
  Paths,
  | 'configFile'
  | 'vendorConfigFolder'
  | 'localConfigFolder'
  | 'hooksFolder'
  | 'hooksSocket'
  | 'dnsmasqFolder'
  | 'unboundFolder'
  | 'systemdFolders'
> {
  return {
    configFile: at('/etc/dnskeeper/config.toml'),
    vendorConfigFolder: at('/usr/lib/dnskeeper/conf.d'),
    localConfigFolder: at('/etc/dnskeeper/conf.d'),
    hooksFolder: at('/etc/dnskeeper/hooks.d'),
    hooksSocket: at('/run/dnskeeper/hooks'),
    dnsmasqFolder: at('/etc/dnskeeper/dnsmasq.d'),
    unboundFolder: at('/etc/dnskeeper/unbound.d'),
    systemdFolders: ['/etc/systemd', '/run/systemd', '/usr/local/lib/systemd', '/usr/lib/systemd'].map(at),
  };
}

function runtimePaths(
  runtime: string,
): Pick<Paths, 'runtime' | 'resolvConf' | 'upstreamConf' | 'socket' | 'lock' | 'profileChoice'> {
  return {
    runtime,
    resolvConf: join(runtime, 'resolv.conf'),
    upstreamConf: join(runtime, 'upstream.conf'),
    socket: join(runtime, 'io.dnskeeper'),
    lock: join(runtime, 'lock'),
    profileChoice: join(runtime, 'profile.json'),
  };
}

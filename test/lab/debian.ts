import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** The Debian releases the lab boots. */
export const suites = ['bookworm', 'trixie'] as const;

/** One of them. */
export type Suite = (typeof suites)[number];

/** libpam-systemd is there because polkitd and NetworkManager stay unconfigured without it. */
const packages = [
  'systemd',
  'systemd-sysv',
  'systemd-resolved',
  'libpam-systemd',
  'libnss-resolve',
  'dbus',
  'polkitd',
  'network-manager',
  'network-manager-openvpn',
  'openvpn',
  'openvpn-systemd-resolved',
  'openconnect',
  'vpnc-scripts',
  'ocserv',
  'wireguard-tools',
  'wireguard-go',
  'isc-dhcp-client',
  'dhcpcd-base',
  'udhcpc',
  'ifupdown',
  'dnsmasq-base',
  'unbound',
  'bind9-dnsutils',
  'iproute2',
  'procps',
  'e2fsprogs',
  'ca-certificates',
];

/** Timers and consoles nobody looks at; they cost seconds at boot or work in the middle of a measurement. */
const masked = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'fstrim.timer',
  'console-getty.service',
  'ldconfig.service',
  'ocserv.service',
  'ocserv.socket',
  'networking.service',
  'unbound.service',
  'unbound-resolvconf.service',
];

/**
 * The untouched tree of a Debian with everything the scenarios need; built by debootstrap at the first use
 * (about 90 s), then kept outside the repository under a name that changes with the recipe.
 */
export async function pristineTree(suite: Suite): Promise<string> {
  const tree = join(cacheFolder(), `${suite}-${recipe()}`);
  if (existsSync(tree)) return tree;
  await mkdir(cacheFolder(), { recursive: true });
  const unfinished = `${tree}.${process.pid}`;
  try {
    await build(suite, unfinished);
    // Whoever renames first wins; the name never stands for a tree that is only half there.
    if (!existsSync(tree)) await rename(unfinished, tree);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return tree;
}

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? '/var/cache', 'dnskeeper-lab');
}

function recipe(): string {
  return createHash('sha256')
    .update(JSON.stringify([packages, masked, finishVersion]))
    .digest('hex')
    .slice(0, 12);
}

async function build(suite: Suite, tree: string): Promise<void> {
  const mirror = await aptMirror();
  const arguments_ = ['--variant=minbase', `--include=${packages.join(',')}`, suite, tree, mirror];
  try {
    await execute('debootstrap', arguments_, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
      maxBuffer: 64 << 20,
      timeout: 900_000,
    });
  } catch (error) {
    const said = String((error as { stdout?: unknown }).stdout ?? '').slice(-2000);
    throw new Error(`debootstrap could not build ${suite} from ${mirror}; it said:\n${said}`, {
      cause: error,
    });
  }
  await finish(tree);
}

/** To be raised with every change of `finish`, so that trees finished otherwise are not taken for this one. */
const finishVersion = 1;

async function finish(tree: string): Promise<void> {
  const archives = join(tree, 'var/cache/apt/archives');
  for (const name of await readdir(archives)) {
    if (name.endsWith('.deb')) await rm(join(archives, name));
  }
  await writeFile(join(tree, 'etc/hostname'), 'laptop\n');
  await writeFile(join(tree, 'etc/hosts'), '127.0.0.1 localhost\n127.0.1.1 laptop\n::1 localhost\n');
  await execute('systemctl', [`--root=${tree}`, 'mask', ...masked]);
}

/** The mirror this machine itself installs from, so that the lab works behind whatever proxy or copy apt works with. */
async function aptMirror(): Promise<string> {
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(await readdir(folder)).sort().map((name) => join(folder, name)),
  ];
  for (const file of files.filter((name) => /\.(list|sources)$/.test(name) && existsSync(name))) {
    const text = await readFile(file, 'utf8');
    const uri = /^(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:.*?)(https?:\/\/\S+\/debian\/?)(?:\s|$)/m.exec(text)?.[1];
    if (uri !== undefined) return uri;
  }
  return 'http://deb.debian.org/debian';
}

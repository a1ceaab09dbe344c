import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, lstat, readdir, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAddress } from '../core/address.ts';
import { systemCodeOf } from '../core/errors.ts';
import type {
  DaemonPresence,
  MachineFacts,
  ProbeFacts,
  ResolvConfFacts,
  ResolverFacts,
} from '../core/machine-facts.ts';
import { resolvConfLines } from '../core/resolv-conf-lines.ts';
import type { ResolverStatus } from '../core/status.ts';
import { parseMountPoints } from './mounts.ts';
import type { Paths } from './paths.ts';
import { readPlainFile } from './plain-file.ts';
import { listenersOnPort53 } from './port-53.ts';
import { runningWriters } from './processes.ts';

/** What to look at, and how far to go. */
export interface Looking {
  readonly paths: Paths;
  readonly daemon: DaemonPresence;
  /** Send a question to every nameserver. */
  readonly probe: boolean;
  readonly signal: AbortSignal;
  /** What a running daemon says of its resolver. */
  readonly resolver?: ResolverStatus;
  /** How long one server may take; 2 s unless told. */
  readonly probeMs?: number;
}

/** So much of resolv.conf is looked at. */
const MOST_BYTES = 65_536;
/** What is longer is no configuration of anybody's. */
const MOST_READ_BYTES = 1 << 20;
/** Longer than the resolver itself waits for servers. */
const RESOLVER_MS = 6000;

/** Look at the machine without changing anything. Below a root everything is taken from there, also /proc and /sys. */
export async function lookAtMachine(looking: Looking): Promise<MachineFacts> {
  const { paths, daemon } = looking;
  const at = (path: string): string => (paths.root === '' ? path : join(paths.root, path));
  const unseen: string[] = [];
  const resolvConf = await lookAtResolvConf(paths.etcResolvConf, at, unseen);
  const hosts = /^\s*hosts:([^#\n]*)/m.exec(textOf(at('/etc/nsswitch.conf'), unseen))?.[1];
  const listeners = await listenersOnPort53(at('/proc'));
  if (listeners.some(({ process }) => process === undefined) && process.geteuid?.() !== 0) {
    unseen.push('Not every program on port 53 can be named without root; run it with sudo.');
  }
  const wsl = lookAtWsl(at, unseen);
  // Both wait for answers, so they wait together.
  const [resolver, probes] = await Promise.all([
    looking.resolver && lookAtResolver(looking.resolver, looking),
    looking.probe ? probeAll(resolvConf.content ?? '', looking) : undefined,
  ]);
  return {
    resolvConf,
    ourFile: await realpath(paths.resolvConf).catch(() => paths.resolvConf),
    originalSaved: await exists(join(paths.original, 'manifest.json')),
    ...(hosts === undefined ? {} : { nsswitchHosts: hosts }),
    writers: await runningWriters(at('/proc')),
    listeners,
    ...(resolver === undefined ? {} : { resolver }),
    ...(probes === undefined ? {} : { probes }),
    networkManager: await lookAtNetworkManager(at, unseen),
    appArmor: await lookAtAppArmor(at),
    docker: await exists(at('/run/docker.sock')),
    ...(wsl === undefined ? {} : { wsl }),
    daemon,
    unseen,
  };
}

/** Its own word, and whether it answers where it says that it does. */
async function lookAtResolver(status: ResolverStatus, looking: Looking): Promise<ResolverFacts> {
  const [first] = status.addresses;
  const at = /^\[?(.*?)\]?:([0-9]+)$/.exec(first ?? '');
  if (!looking.probe || at === null) return { status };
  const { probeServer } = await import('./dns-probe.ts');
  const { probeMs = RESOLVER_MS, signal } = looking;
  return { status, probe: await probeServer(at[1] ?? '', Number(at[2]), probeMs, signal) };
}

async function lookAtResolvConf(
  path: string,
  at: (path: string) => string,
  unseen: string[],
): Promise<ResolvConfFacts> {
  const there = await lstat(path).catch(() => undefined);
  const mounts = parseMountPoints(textOf(at('/proc/self/mountinfo'), unseen));
  const target = await realpath(path).catch(() => undefined);
  const base = {
    bindMount: mounts.has(path) || (target !== undefined && mounts.has(target)),
    readOnlyFolder: await isReadOnly(at('/etc')),
  };
  if (there === undefined) return { ...base, kind: 'missing' };
  const kind = there.isSymbolicLink() ? 'link' : there.isFile() ? 'file' : 'other';
  const content = target === undefined || kind === 'other' ? undefined : contentOf(target);
  const immutable = kind === 'file' ? await isImmutable(path) : undefined;
  return {
    ...base,
    kind,
    ...(kind === 'link' ? { linkText: await readlink(path) } : {}),
    ...(target === undefined ? {} : { target }),
    ...(content === undefined ? {} : { content }),
    ...(immutable === undefined ? {} : { immutable }),
  };
}

/** A link may lead to anything; only a file is read, or a pipe would hold us for ever. */
function contentOf(target: string): string | undefined {
  const bytes = readPlainFile(target, MOST_READ_BYTES);
  return Buffer.isBuffer(bytes) ? bytes.toString('latin1', 0, MOST_BYTES) : undefined;
}

async function isReadOnly(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK).then(
    () => false,
    (error: unknown) => systemCodeOf(error) === 'EROFS',
  );
}

/** Node cannot ask for file flags; lsattr(1) can, and every Debian has it. Undefined where it cannot tell. */
function isImmutable(path: string): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    execFile('lsattr', ['-d', '--', path], { timeout: 2000 }, (error, stdout) =>
      resolve(error === null ? /^\S*i/.test(stdout) : undefined),
    );
  });
}

async function probeAll(
  content: string,
  { signal, probeMs = 2000 }: Looking,
): Promise<readonly ProbeFacts[]> {
  const { probeServer } = await import('./dns-probe.ts');
  // Addresses only: Node would look anything else up first.
  const named = resolvConfLines(content).nameservers.filter(
    (each) => parseAddress(each.split('%', 1)[0] ?? '').ok,
  );
  const servers = [...new Set(named)].slice(0, 8);
  return Promise.all(servers.map((server) => probeServer(server, 53, probeMs, signal)));
}

/** Last setting wins, in the order NetworkManager reads: its own folder of the package, the file, the drop-ins. */
async function lookAtNetworkManager(
  at: (path: string) => string,
  unseen: string[],
): Promise<MachineFacts['networkManager']> {
  const files = [
    ...(await dropIns(at('/usr/lib/NetworkManager/conf.d'))),
    ...(await dropIns(at('/run/NetworkManager/conf.d'))),
    at('/etc/NetworkManager/NetworkManager.conf'),
    ...(await dropIns(at('/etc/NetworkManager/conf.d'))),
  ];
  const settings: { dns?: string; rcManager?: string } = {};
  for (const file of files) {
    const main = /^\[main\][^\n]*\n((?:(?!\[).*\n?)*)/m.exec(textOf(file, unseen))?.[1] ?? '';
    const dns = /^\s*dns\s*=\s*(\S+)/m.exec(main)?.[1];
    const rcManager = /^\s*rc-manager\s*=\s*(\S+)/m.exec(main)?.[1];
    if (dns !== undefined) settings.dns = dns;
    if (rcManager !== undefined) settings.rcManager = rcManager;
  }
  return settings;
}

async function lookAtAppArmor(at: (path: string) => string): Promise<MachineFacts['appArmor']> {
  const enabled = textOf(at('/sys/module/apparmor/parameters/enabled')).startsWith('Y');
  const folder = at('/etc/apparmor.d/abstractions/nameservice.d');
  const names = await readdir(folder).catch(() => []);
  return { enabled, dropIn: names.some((name) => textOf(join(folder, name)).includes('dnskeeper')) };
}

function lookAtWsl(at: (path: string) => string, unseen: string[]): { generates: boolean } | undefined {
  if (!/microsoft/i.test(textOf(at('/proc/sys/kernel/osrelease')))) return undefined;
  const settings = textOf(at('/etc/wsl.conf'), unseen);
  return { generates: !/^\s*generateResolvConf\s*=\s*false/im.test(settings) };
}

async function dropIns(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith('.conf'))
    .sort()
    .map((name) => join(folder, name));
}

/** A text, or nothing; what is there but cannot be read is told in `unseen`. */
function textOf(path: string, unseen?: string[]): string {
  const bytes = readPlainFile(path, MOST_READ_BYTES, 'followed');
  if (typeof bytes === 'string') unseen?.push(`${path}: ${bytes}`);
  return Buffer.isBuffer(bytes) ? bytes.toString('utf8') : '';
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

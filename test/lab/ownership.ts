import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseTable } from '../../src/system/port-53.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import type { Machine } from './machine.ts';

/** Who had what while two programs took turns, as far as one sees who looks all the time. */
export interface Ownership {
  /** Where /etc/resolv.conf led, one after the other; undefined is a moment without it. */
  readonly links: readonly (string | undefined)[];
  /** Programs that had a socket each at 127.0.0.53:53 at the same time; a copy that only systemd still keeps is nobody's. */
  readonly shared: readonly string[];
  /** Each time that the file listed 127.0.0.53 while no socket for UDP stood there. */
  readonly dead: readonly DeadLine[];
  /** Texts of the file without a nameserver. */
  readonly empty: readonly string[];
  readonly looks: number;
  /** The owners of systemd-resolved's bus name by their unique names, `''` for nobody, as the bus told them. */
  readonly owners: readonly string[];
}

/** A nameserver line that led nowhere. */
export interface DeadLine {
  readonly ms: number;
  /** When it had passed, in milliseconds since the epoch. */
  readonly at: number;
  /** Where /etc/resolv.conf led when it had passed. */
  readonly link: string | undefined;
}

/** Somebody who looks all the time. */
export interface OwnershipWatch extends AsyncDisposable {
  /** Stop and tell. */
  stop(): Promise<Ownership>;
}

const STUB = '127.0.0.53';
/** Two who both have it for long are seen all the same. */
const LOOKS_PER_TCP = 20;
const BUS_LOG = '/var/tmp/owners.json';

/** Watch, from outside, who has the bus name of systemd-resolved, its address and /etc/resolv.conf. */
export async function watchOwnership(machine: Machine): Promise<OwnershipWatch> {
  const match = "type='signal',member='NameOwnerChanged',arg0='org.freedesktop.resolve1'";
  await machine.ok(
    `rm -f ${BUS_LOG}; systemd-run --quiet --collect --unit=lab-owners -- ` +
      `sh -c "exec busctl monitor --json=short --match=\\"${match}\\" > ${BUS_LOG}"`,
  );
  const links: (string | undefined)[] = [];
  const shared = new Set<string>();
  const empty = new Set<string>();
  const dead: DeadLine[] = [];
  let deadSince: number | undefined;
  let looks = 0;
  let watching = true;
  const look = (): void => {
    const before = socketsAtStub(machine, 'udp');
    const { link, text, nameservers } = listed(machine);
    const after = socketsAtStub(machine, 'udp');
    // The kernel goes through all connections of the host for this table, which takes it twenty milliseconds.
    const tcp = looks++ % LOOKS_PER_TCP === 0 ? socketsAtStub(machine, 'tcp') : [];
    if (links.length === 0 || links.at(-1) !== link) links.push(link);
    if (text !== undefined && nameservers.length === 0) empty.add(text);
    for (const sockets of [after, tcp]) {
      const holders = sockets.length > 1 ? holdersOf(machine, sockets) : [];
      if (holders.length > 1) shared.add(holders.join(' and '));
    }
    // However long the looks take: a file that was right when it was read had a socket before it or has one after it.
    const leadsNowhere = nameservers.includes(STUB) && before.length === 0 && after.length === 0;
    const now = performance.now();
    if (leadsNowhere) deadSince ??= now;
    else if (deadSince !== undefined) {
      dead.push({ ms: Math.ceil(now - deadSince), at: Date.now(), link });
      deadSince = undefined;
    }
  };
  const loop = async (): Promise<void> => {
    while (watching) {
      look();
      await pause(1);
    }
  };
  const ended = loop();
  const end = async (): Promise<void> => {
    watching = false;
    await ended;
  };
  return {
    [Symbol.asyncDispose]: end,
    async stop() {
      await end();
      await machine.ok('systemctl stop lab-owners');
      const owners = parseOwners(await machine.readFile(BUS_LOG));
      return { links, shared: [...shared], dead, empty: [...empty], looks, owners };
    },
  };
}

/** What both programs and systemd logged around the first dead line, for the message of a failing test. */
export async function loggedAround(machine: Machine, [first]: readonly DeadLine[]): Promise<string> {
  if (first === undefined) return '';
  const [since, until] = [first.at - 1500, first.at + 500].map((ms) => `@${(ms / 1000).toFixed(3)}`);
  return machine.ok(
    `journalctl --no-pager --output=short-precise --since=${since} --until=${until} | cut -c-300 | tail -n 60`,
  );
}

/** What the file lists now; a link is followed as inside the machine. */
function listed(machine: Machine): {
  readonly link: string | undefined;
  readonly text: string | undefined;
  readonly nameservers: readonly string[];
} {
  try {
    const link = readlinkSync(machine.hostPath('/etc/resolv.conf'));
    const path = link.startsWith('/') ? link : `/etc/${link}`;
    const text = readFileSync(machine.hostPath(path), 'utf8');
    return { link, text, nameservers: parseResolvConf(text).nameservers };
  } catch {
    return { link: undefined, text: undefined, nameservers: [] };
  }
}

/** By their numbers as files. */
function socketsAtStub(machine: Machine, protocol: 'udp' | 'tcp'): readonly string[] {
  const text = readFileSync(`/proc/${machine.pid}/net/${protocol}`, 'utf8');
  return parseTable(text, protocol).flatMap(({ address, inode }) => (address === STUB ? [inode] : []));
}

/** The programs that have these sockets, one for each socket, but for the service manager. */
function holdersOf(machine: Machine, sockets: readonly string[]): readonly string[] {
  const found = new Map<string, string>();
  const network = linkOf(`/proc/${machine.pid}/ns/net`);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (pid === String(machine.pid) || linkOf(`/proc/${pid}/ns/net`) !== network) continue;
    for (const inode of socketsOf(pid))
      if (sockets.includes(inode)) found.set(inode, readNow(`/proc/${pid}/comm`).trim());
  }
  return [...found.values()];
}

function socketsOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap(
      (fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? [],
    );
  } catch {
    return []; // it has just ended
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readNow(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The new owner of each change, and the old one of the first. */
function parseOwners(text: string): readonly string[] {
  const changes = text.split('\n').flatMap((line) => {
    if (line === '') return [];
    const { member, payload } = JSON.parse(line) as { member?: string; payload?: { data?: string[] } };
    return member === 'NameOwnerChanged' ? [payload?.data ?? []] : [];
  });
  return changes.flatMap(([, old = '', now = ''], index) => (index === 0 ? [old, now] : [now]));
}

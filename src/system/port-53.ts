import { readdir, readFile, readlink } from 'node:fs/promises';
import { addressOfBytes, formatAddress } from '../core/address.ts';
import type { ListenerFacts } from '../core/machine-facts.ts';

/** Port 53 in the hexadecimal of /proc/net. */
const PORT = '0035';
const MOST_PROCESSES = 10_000;

/** Who listens on port 53 (UDP and TCP, both families); `proc` is a mounted proc(5). Names need root for others' processes. */
export async function listenersOnPort53(proc: string): Promise<readonly ListenerFacts[]> {
  const sockets = new Map<string, ListenerFacts>();
  for (const table of ['udp', 'udp6', 'tcp', 'tcp6']) {
    const protocol = table.startsWith('udp') ? 'udp' : 'tcp';
    for (const { address, inode } of parseTable(await readText(`${proc}/net/${table}`), protocol)) {
      sockets.set(inode, { protocol, address });
    }
  }
  const holders = await processesHolding(proc, new Set(sockets.keys()));
  return [...sockets].map(([inode, listener]) => {
    const holder = holders.get(inode);
    return holder === undefined ? listener : { ...listener, ...holder };
  });
}

/** Rows of one /proc/net table that are bound to port 53; for TCP only those that listen (state 0A). */
export function parseTable(text: string, protocol: 'udp' | 'tcp'): { address: string; inode: string }[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((row) => {
      const fields = row.trim().split(/\s+/);
      const [hex = '', port] = (fields[1] ?? '').split(':');
      if (port !== PORT || (protocol === 'tcp' && fields[3] !== '0A')) return [];
      const address = addressOf(hex);
      return address === undefined ? [] : [{ address, inode: fields[9] ?? '' }];
    });
}

/** The kernel prints each 32-bit word of an address in the machine's byte order, which is little-endian wherever Node runs. */
function addressOf(hex: string): string | undefined {
  if (!/^([0-9A-F]{8}|[0-9A-F]{32})$/.test(hex)) return undefined;
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((b) => Number.parseInt(b, 16)),
  );
  const address = addressOfBytes(bytes);
  return address && formatAddress(address);
}

async function processesHolding(
  proc: string,
  inodes: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Pick<ListenerFacts, 'process' | 'unit'>>> {
  const found = new Map<string, Pick<ListenerFacts, 'process' | 'unit'>>();
  if (inodes.size === 0) return found;
  // systemd holds copies of its services' sockets (file-descriptor store, socket units), so it is asked last.
  const pids = (await listed(proc))
    .filter((name) => /^[0-9]+$/.test(name))
    .sort((a, b) => Number(a === '1') - Number(b === '1'))
    .slice(0, MOST_PROCESSES);
  for (const pid of pids) {
    for (const fd of await listed(`${proc}/${pid}/fd`)) {
      const inode = /^socket:\[([0-9]+)\]$/.exec(await linkOf(`${proc}/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode) && !found.has(inode))
        found.set(inode, await processFacts(`${proc}/${pid}`));
    }
    if (found.size === inodes.size) break;
  }
  return found;
}

async function processFacts(folder: string): Promise<Pick<ListenerFacts, 'process' | 'unit'>> {
  const process = (await readText(`${folder}/comm`)).trim();
  // The last service of the path: systemd puts a container's below that of its manager (cgroups(7), systemd.unit(5)).
  const unit = /([A-Za-z0-9:_.@\\-]{1,255}\.service)(?!.*\.service)/.exec(
    await readText(`${folder}/cgroup`),
  )?.[1];
  return unit === undefined ? { process } : { process, unit };
}

// Processes come and go while we look, and others' are closed to us without root: what cannot be read is not there.
const listed = (path: string): Promise<string[]> => readdir(path).catch(() => []);
const linkOf = (path: string): Promise<string> => readlink(path).catch(() => '');
const readText = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

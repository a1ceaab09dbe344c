import { readFileSync } from 'node:fs';
import { DnskeeperError } from '../core/errors.ts';
import { printable } from '../core/text.ts';
import type { Bus } from './bus.ts';

/** Who is behind the unique names that call us, as the bus vouches for it. */
export interface BusCallers {
  /** Rejects when the caller has gone already. */
  uidOf(sender: string): Promise<number>;
  /** For people: `openvpn (pid 812, uid 0)`. Never rejects. */
  describe(sender: string): Promise<string>;
}

/** Unique names are never used again while the bus lives, so what was learnt holds; the oldest goes first. */
const MOST_REMEMBERED = 1024;

/** Ask a bus about callers, each once. */
export function busCallers(bus: Bus, commOf: (pid: number) => string = processName): BusCallers {
  const uids = new Map<string, Promise<number>>();
  const names = new Map<string, Promise<string>>();
  bus.onConnected((connected) => {
    if (connected) return;
    uids.clear();
    names.clear();
  });
  const uidOf = (sender: string): Promise<number> =>
    remembered(uids, sender, () => numberFrom(bus, 'GetConnectionUnixUser', sender));
  return {
    uidOf,
    describe: (sender) =>
      remembered(names, sender, async () => {
        try {
          const [uid, pid] = await Promise.all([
            uidOf(sender),
            numberFrom(bus, 'GetConnectionUnixProcessID', sender),
          ]);
          return `${commOf(pid)} (pid ${pid}, uid ${uid})`;
        } catch {
          return 'a program that has gone'; // it is only a name for people
        }
      }),
  };
}

function remembered<T>(map: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const [oldest] = map.keys();
  if (map.size >= MOST_REMEMBERED && oldest !== undefined) map.delete(oldest);
  const asked = ask();
  map.set(key, asked);
  asked.catch(() => map.delete(key));
  return asked;
}

async function numberFrom(bus: Bus, member: string, sender: string): Promise<number> {
  const name = 'org.freedesktop.DBus';
  const call = { destination: name, path: '/org/freedesktop/DBus', interface: name, member };
  const [number] = await bus.call({ ...call, signature: 's', body: [sender] });
  if (typeof number === 'number') return number;
  throw new DnskeeperError('PROTOCOL', `The bus answered ${member} with no number.`);
}

function processName(pid: number): string {
  try {
    return printable(readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), 16) || 'a program';
  } catch {
    return 'a program'; // it has ended, or is hidden from us
  }
}

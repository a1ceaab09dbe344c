import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { expect } from 'vitest';
import { parseResolvConf } from '../../src/core/resolv-conf.ts';
import type { Status } from '../../src/core/status.ts';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';

/** Where /etc/resolv.conf leads while dnskeeper is in charge. */
export const ourFile = '/run/dnskeeper/resolv.conf';

/** What `dnsctl status --json` says, and its exit code. */
export async function statusOf(
  machine: Machine,
): Promise<{ readonly code: number; readonly status: Status }> {
  const { code, stdout, stderr } = await machine.run('dnsctl status --json');
  if (stdout === '') throw new Error(`dnsctl status --json ended with ${code}: ${stderr}`);
  return { code, status: JSON.parse(stdout) as Status };
}

/** Nameserver lines of a resolv.conf in the machine. */
export async function nameserversIn(machine: Machine, path: string = ourFile): Promise<readonly string[]> {
  return parseResolvConf(await machine.readFile(path)).nameservers;
}

/** Wait until our file lists exactly these servers, then fail with what differs if it does not. */
export async function expectServers(
  machine: Machine,
  servers: readonly string[],
  ms = 15_000,
): Promise<void> {
  const wanted = servers.join(' ');
  const same = async (): Promise<boolean> => (await nameserversIn(machine)).join(' ') === wanted;
  await until(same, `the file lists ${wanted}`, ms).catch(async () => {
    expect(await nameserversIn(machine), await lately(machine)).toEqual(servers);
  });
}

/** NetworkManager's own choice, whatever it did to /etc/resolv.conf: what ours has to equal where its rules are followed. */
export const networkManagersServers = (machine: Machine): Promise<readonly string[]> =>
  nameserversIn(machine, '/run/NetworkManager/no-stub-resolv.conf');

/** Wait until our file and NetworkManager's list the same servers, these ones. */
export async function expectServersAsNetworkManager(
  machine: Machine,
  servers: readonly string[],
): Promise<void> {
  await expectServers(machine, servers);
  expect(await networkManagersServers(machine), 'NetworkManager lists the same').toEqual(servers);
}

/** Wait until status says that the link is in this state; gives that status. */
export async function untilLink(
  machine: Machine,
  state: Status['link']['state'],
  ms = 10_000,
): Promise<Status> {
  let last: Status | undefined;
  const reached = async (): Promise<boolean> => {
    last = (await statusOf(machine)).status;
    return last.link.state === state;
  };
  await until(reached, `the link is ${state}`, ms).catch(async () => {
    expect(last?.link, await lately(machine)).toMatchObject({ state });
  });
  return (await statusOf(machine)).status;
}

/** Turn systemd-resolved off as an administrator does, with a hand-written file in its place. */
export async function withoutResolved(machine: Machine, text = 'nameserver 192.0.2.53\n'): Promise<void> {
  await machine.ok('systemctl disable --now systemd-resolved && rm -f /etc/resolv.conf');
  await machine.writeFile('/etc/resolv.conf', text);
  // NetworkManager looks only at its start whether systemd-resolved has /etc/resolv.conf.
  await machine.ok('systemctl restart NetworkManager');
}

/** Every distinct text a file had, read as fast as possible. */
export interface Watch {
  /** Stop and give the texts in order; `undefined` is a moment without the file. */
  stop(): Promise<readonly (string | undefined)[]>;
}

/** Watch a file of the machine from the host, which sees each rename at once. */
export function watchFile(machine: Machine, path: string = ourFile): Watch {
  const texts: (string | undefined)[] = [];
  let watching = true;
  const loop = async (): Promise<void> => {
    while (watching) {
      const text = readNow(machine.hostPath(path));
      if (texts.length === 0 || texts.at(-1) !== text) texts.push(text);
      await setImmediate();
    }
  };
  const ended = loop();
  return {
    async stop() {
      watching = false;
      await ended;
      return texts;
    },
  };
}

/** Each text is a whole file that names a server: no reader ever met half a file or an empty one. */
export function expectAlwaysServers(texts: readonly (string | undefined)[]): void {
  for (const text of texts) {
    expect(text).toMatch(/^# Written by dnskeeper[\s\S]*\n$/);
    expect(parseResolvConf(text ?? '').nameservers.length, text).toBeGreaterThan(0);
  }
}

function readNow(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

async function lately(machine: Machine): Promise<string> {
  const journal = await machine.journal('dnskeeper');
  return `the end of the daemon's log:\n${journal.split('\n').slice(-25).join('\n')}`;
}

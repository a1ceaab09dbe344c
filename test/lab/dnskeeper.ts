import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import type { StatusReport } from '../../src/control/report.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';
import { PATIENCE_MS } from './patience.ts';

/** Where /etc/resolv.conf leads while dnskeeper is in charge. */
export const ourFile = '/run/dnskeeper/resolv.conf';

/** Where the real servers stand, also while the file that everybody reads lists our resolver. */
export const upstreamFile = '/run/dnskeeper/upstream.conf';

/** What our file lists where a plain file cannot say it all. */
export const stub = ['127.0.0.53'];

/** What `dnsctl status --json` says, and its exit code. */
export async function statusOf(
  machine: Machine,
): Promise<{ readonly code: number; readonly status: StatusReport }> {
  const { code, stdout, stderr } = await machine.run('dnsctl status --json');
  if (stdout === '') throw new Error(`dnsctl status --json ended with ${code}: ${stderr}`);
  return { code, status: JSON.parse(stdout) as StatusReport };
}

/** Nameserver lines of a file below the machine's /run; none when it is not there. */
export function nameserversIn(machine: Machine, path: string = ourFile): readonly string[] {
  return parseResolvConf(readNow(machine.hostPath(path)) ?? '').nameservers;
}

/** Wait until our file lists exactly these servers, and say what it lists if it never does. */
export async function expectServers(
  machine: Machine,
  servers: readonly string[],
  ms = PATIENCE_MS,
): Promise<void> {
  await untilServers(machine, ourFile, servers, ms);
}

/**
 * Wait until our file and NetworkManager's own, which it writes whatever becomes of /etc/resolv.conf, list these servers:
 * where NetworkManager's rules are followed they have to be equal.
 */
export async function expectServersAsNetworkManager(
  machine: Machine,
  servers: readonly string[],
): Promise<void> {
  await untilServers(machine, networkManagersFile, servers);
  await untilServers(machine, upstreamFile, servers);
  await untilServers(machine, ourFile, servers);
}

/** The same where a plain file cannot say it all: ours lists the resolver, and the servers stand in the file beside it. */
export async function expectStubAsNetworkManager(
  machine: Machine,
  servers: readonly string[],
): Promise<void> {
  await untilServers(machine, networkManagersFile, servers);
  await untilServers(machine, upstreamFile, servers);
  await untilServers(machine, ourFile, stub);
}

/** NetworkManager's own file, which always has the real servers. */
export const networkManagersFile = '/run/NetworkManager/no-stub-resolv.conf';

async function untilServers(
  machine: Machine,
  path: string,
  servers: readonly string[],
  ms = PATIENCE_MS,
): Promise<void> {
  // NetworkManager 1.42 does not sort its list again when only the priority or the best default route has changed, so
  // its own order may be that of an earlier moment; 1.52 does.
  const ordered = path !== networkManagersFile || machine.suite !== 'bookworm';
  const inOrder = (list: readonly string[]): readonly string[] => (ordered ? list : list.toSorted());
  const found = (): readonly string[] => inOrder(nameserversIn(machine, path));
  const wanted = inOrder(servers);
  try {
    await until(() => found().join(' ') === wanted.join(' '), `${path} lists ${wanted.join(' ')}`, ms);
  } catch {
    expect(found(), `servers in ${path}; ${await lately(machine)}`).toEqual(wanted);
  }
}

/** Wait until status says that the link is in this state; gives that status. */
export async function untilLink(
  machine: Machine,
  state: StatusReport['link']['state'],
  ms = PATIENCE_MS,
): Promise<StatusReport> {
  let last: StatusReport | undefined;
  const reached = async (): Promise<boolean> => {
    last = (await statusOf(machine)).status;
    return last.link.state === state;
  };
  await until(reached, `the link is ${state}`, ms).catch(async () => {
    expect(last?.link, await lately(machine)).toMatchObject({ state });
  });
  return (await statusOf(machine)).status;
}

/**
 * Turn systemd-resolved off as an administrator does, with a hand-written file in its place. Servers in it would be used
 * while no network names any.
 */
export async function withoutResolved(machine: Machine, text = '# no servers\n'): Promise<void> {
  await machine.ok('systemctl disable --now systemd-resolved && rm -f /etc/resolv.conf');
  await machine.writeFile('/etc/resolv.conf', text);
  // NetworkManager looks only at its start whether systemd-resolved has /etc/resolv.conf.
  await machine.ok('systemctl restart NetworkManager');
}

/** No profiles that NetworkManager makes up: one taken down would be replaced by `Wired connection 1` at once. */
export const withoutAutomaticProfiles = (machine: Machine): Promise<void> =>
  configureNetworkManager(machine, '[main]\nno-auto-default=*\n');

/** Have NetworkManager leave links alone: patterns of their names. */
export const withUnmanagedLinks = (machine: Machine, ...names: readonly string[]): Promise<void> =>
  configureNetworkManager(
    machine,
    `[keyfile]\nunmanaged-devices=${names.map((name) => `interface-name:${name}`).join(';')}\n`,
  );

async function configureNetworkManager(machine: Machine, text: string): Promise<void> {
  await machine.writeFile('/etc/NetworkManager/conf.d/lab.conf', text);
  await machine.ok('systemctl restart NetworkManager');
}

/** Every distinct text a file had. */
export interface Watch {
  /** Stop and give the texts in order; `undefined` is a moment without the file. */
  stop(): Promise<readonly (string | undefined)[]>;
}

/** Read a file of the machine a thousand times a second, from outside, where it costs the machine little. */
export function watchFile(machine: Machine, path: string = ourFile): Watch {
  const texts: (string | undefined)[] = [];
  let watching = true;
  const loop = async (): Promise<void> => {
    while (watching) {
      const text = readNow(machine.hostPath(path));
      if (texts.length === 0 || texts.at(-1) !== text) texts.push(text);
      await pause(1);
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
  const lines = journal.split('\n').slice(-12);
  return `the end of the daemon's log:\n${lines.map((line) => line.slice(0, 400)).join('\n')}`;
}

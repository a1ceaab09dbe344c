import { readdirSync } from 'node:fs';
import { parseNetworkdLink } from '../core/networkd-link-file.ts';
import { type NetworkdFacts, networkdState } from '../core/networkd-links.ts';
import type { SourceEvent, SourceHealth } from '../core/snapshot.ts';
import type { Bus } from '../system/bus.ts';
import type { Log } from '../system/log.ts';
import type { KernelNetwork } from '../system/netlink.ts';
import { readPlainFile } from '../system/plain-file.ts';
import { type Watch, watchFolders } from '../system/watch.ts';
import type { Source } from './source.ts';

/** What the source runs on. */
export interface NetworkdOptions {
  /** `` for the machine itself. */
  readonly root: string;
  readonly bus: Pick<Bus, 'onOwner' | 'connected'>;
  readonly network: Pick<KernelNetwork, 'byIndex' | 'defaultRoutes' | 'onLink' | 'onRoutes'>;
  readonly log: Log;
}

/**
 * systemd-networkd by the files in which it tells what it has learned, /run/systemd/netif/links/IFINDEX, as
 * systemd-resolved reads them. The bus is asked only whether it runs.
 */
export function networkdSource({ root, bus, network, log }: NetworkdOptions): Source {
  const folder = `${root}/run/systemd/netif/links`;
  const held: (() => void)[] = [];
  let watch: Watch | undefined;
  let tell: ((event: SourceEvent) => void) | undefined;
  /** Undefined until the bus has said. */
  let running: boolean | undefined;
  let facts: readonly NetworkdFacts[] = [];
  let problem: string | undefined;
  let told = '';
  let toldHealth = '';
  let scheduled = false;

  function look(cause: string): void {
    if (tell === undefined) return;
    ({ facts, problem } = readFacts(folder, network));
    const state = networkdState(facts, network.defaultRoutes(), running === true);
    health(state.links.length > 0);
    const text = JSON.stringify(state);
    if (text === told) return;
    if (told !== '' || state.links.length > 0)
      log.info({ links: state.links.length, cause }, 'systemd-networkd tells DNS of its links');
    told = text;
    tell({ source: 'networkd', kind: 'state', cause, state });
  }

  /** Several changes of one moment are looked at once. */
  function lookSoon(cause: string): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      look(cause);
    });
  }

  function health(counts: boolean): void {
    const { state, detail } = healthOf(running, counts);
    const now = { state, detail: problem === undefined ? detail : `${detail}; ${problem}` };
    if (JSON.stringify(now) === toldHealth) return;
    toldHealth = JSON.stringify(now);
    tell?.({ source: 'networkd', kind: 'health', health: now });
  }

  return {
    name: 'networkd',
    start(listener, signal) {
      tell = (event) => {
        if (!signal.aborted) listener(event);
      };
      const mentions = (ifindex: number | undefined): boolean =>
        facts.some(({ link }) => link.ifindex === ifindex);
      held.push(
        bus.onOwner(NAME, (owner) => {
          // A bus that is away says nothing of who runs.
          if (owner === undefined && !bus.connected) return;
          running = owner !== undefined;
          look(running ? 'systemd-networkd is there' : 'systemd-networkd is not there');
        }),
        network.onLink(({ before, after }) => {
          // What it does not know yet it will write a file for.
          if (mentions(before?.ifindex)) lookSoon(`the link ${(after ?? before)?.name} changed`);
        }),
        network.onRoutes(() => {
          if (facts.length > 0) lookSoon('the default routes changed');
        }),
      );
      look('dnskeeperd started');
      watch = watchFolders([folder], () => lookSoon('a link file of systemd-networkd changed'), log);
    },
    async close() {
      tell = undefined;
      for (const letGo of held) letGo();
      await watch?.close();
    },
  };
}

const NAME = 'org.freedesktop.network1';

/** Far more than networkd writes for one link. */
const MOST_BYTES = 256 * 1024;

/** Files that were left behind are no loss where nothing in them counts. */
function healthOf(running: boolean | undefined, counts: boolean): SourceHealth {
  if (running) return { state: 'running', detail: 'its link files tell what it knows' };
  if (!counts) return { state: 'absent', detail: 'it is not there, and no link of its runs' };
  if (running === undefined)
    return { state: 'starting', detail: 'its link files are there; the bus has not said whether it runs' };
  return { state: 'gone', detail: 'it left the bus; what it said last stays in force while its links run' };
}

/** What files of links that are there say, and the first one that is none. systemd-networkd's user may write there. */
function readFacts(
  folder: string,
  network: NetworkdOptions['network'],
): { readonly facts: readonly NetworkdFacts[]; readonly problem: string | undefined } {
  const facts: NetworkdFacts[] = [];
  let problem: string | undefined;
  for (const ifindex of filesIn(folder)
    .map(Number)
    .sort((a, b) => a - b)) {
    const link = network.byIndex(ifindex);
    const bytes = link === undefined ? undefined : readPlainFile(`${folder}/${ifindex}`, MOST_BYTES);
    if (typeof bytes === 'string') problem ??= `${folder}/${ifindex} is left out: ${bytes}`;
    else if (link !== undefined && bytes !== undefined)
      facts.push({ link, file: parseNetworkdLink(bytes.toString('latin1')) });
  }
  return { facts, problem };
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /^[1-9][0-9]{0,9}$/.test(name));
  } catch {
    return []; // systemd-networkd has never run
  }
}

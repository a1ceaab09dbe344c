import { basename, dirname } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { isVanished } from '../core/record.ts';
import { type RecordTroubles, recordFindings } from '../core/record-findings.ts';
import { type RecordLink, recordState } from '../core/record-links.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import type { Finding } from '../core/status.ts';
import type { Log } from '../system/log.ts';
import { recordFolder } from '../system/record-folder.ts';
import { recordPaths } from '../system/record-paths.ts';
import { rulesWithFragments, updateScripts } from '../system/record-rules.ts';
import { type Watch, watchFolders, watchNames } from '../system/watch.ts';
import type { Source } from './source.ts';

/** What programs told resolvconf(8), as a source. */
export interface Records extends Source {
  /** Look at once instead of when the folder says that it changed; what is new is told before this returns. */
  look(cause: string): void;
  /** Which records are not used and why, and what in the files of openresolv and Debian's resolvconf is not done. */
  findings(): readonly Finding[];
}

/** What records need to know beside themselves. */
export interface RecordsOptions {
  /** `` for the machine itself. */
  readonly root: string;
  readonly links: () => readonly RecordLink[];
  /** NetworkManager is heard on its own. */
  readonly networkManagerTells: () => boolean;
  readonly log: Log;
}

/** The records of this machine. */
export function recordsSource({ root, links, networkManagerTells, log }: RecordsOptions): Records {
  const paths = recordPaths(root);
  const folder = recordFolder(paths.folder);
  const watches: Watch[] = [];
  let tell: ((event: SourceEvent) => void) | undefined;
  let told = '';
  let health = '';
  let troubles: RecordTroubles = { left: [], problems: [], updateScripts: [], keys: [] };
  let unreadable: string | undefined;

  function look(cause: string): void {
    if (tell === undefined || (told !== '' && !folder.updates)) return;
    const reading = folder.read();
    const read = rulesWithFragments(paths);
    unreadable = read.unreadable;
    const present = links();
    if (present.length > 0 && reading.set.records.some((record) => isVanished(record, present)))
      sweep(present);
    const { state, left: unused } = recordState(reading.set, {
      rules: read.rules,
      links: present,
      networkManagerTells: networkManagerTells(),
    });
    troubles = {
      left: [...reading.problems.map(({ name, reason }) => ({ key: name, reason })), ...unused],
      problems: read.problems,
      updateScripts: updateScripts(paths),
      keys: reading.set.records.map(({ key }) => key),
    };
    const text = JSON.stringify([state, troubles, unreadable]);
    if (text === told) return;
    told = text;
    log.info(
      { records: reading.set.records.length, unused: troubles.left.length, cause },
      'resolvconf(8) records were read',
    );
    const count = reading.set.records.length;
    const detail = `${count} ${count === 1 ? 'record' : 'records'} of resolvconf(8).`;
    if (detail !== health) tell({ source: 'records', kind: 'health', health: { state: 'running', detail } });
    health = detail;
    tell({ source: 'records', kind: 'state', cause, state });
  }

  /** Nobody else takes them away. A daemon that may not is one in user mode, and not in charge of them. */
  function sweep(present: readonly RecordLink[]): void {
    try {
      folder.sweep(present);
    } catch (error) {
      log.debug({}, `Records of links that are gone stay: ${messageOf(error)}`);
    }
  }

  return {
    name: 'records',
    look,
    findings: () => [
      ...(unreadable === undefined
        ? []
        : [{ severity: 'warning', id: 'resolvconf-conf', text: unreadable } as const]),
      ...recordFindings(troubles),
    ],
    start(listener, signal) {
      tell = (event) => {
        if (!signal.aborted) listener(event);
      };
      look('dnskeeperd started');
      const beside = [paths.rules, paths.interfaceOrder, ...paths.head, ...paths.tail];
      for (const [folder, files] of Map.groupBy(beside, dirname)) {
        const names = files.map((file) => basename(file));
        watches.push(watchNames(folder, names, () => look(`${folder} changed`), log));
      }
      watches.push(watchFolders([paths.folder], () => look('a resolvconf(8) record changed'), log));
    },
    async close() {
      tell = undefined;
      await Promise.all(watches.map((watch) => watch.close()));
    },
  };
}

import { basename, dirname } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { isVanished } from '../core/record.ts';
import { type LeftRecord, type RecordLink, recordFindings, recordState } from '../core/record-links.ts';
import { type ResolvconfRules, type RulesProblem, readRules } from '../core/record-rules.ts';
import { withFragments } from '../core/record-text.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import type { Finding } from '../core/status.ts';
import { printable } from '../core/text.ts';
import type { Log } from '../system/log.ts';
import { recordFolder } from '../system/record-folder.ts';
import { type RecordPaths, readRulesFile, recordPaths } from '../system/record-paths.ts';
import { type Watch, watchFolders, watchNames } from '../system/watch.ts';
import type { Source } from './source.ts';

/** What programs told resolvconf(8), as a source. */
export interface Records extends Source {
  /** Look at once instead of when the folder says that it changed; what is new is told before this returns. */
  look(cause: string): void;
  /** Which records are not used and why, and what in /etc/resolvconf.conf is not done. */
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
  let left: readonly LeftRecord[] = [];
  let problems: readonly RulesProblem[] = [];
  let unreadable: string | undefined;

  function look(cause: string): void {
    if (tell === undefined || (told !== '' && !folder.updates)) return;
    const reading = folder.read();
    const read = rulesIn(paths);
    problems = read.problems;
    unreadable = read.unreadable;
    const present = links();
    if (present.length > 0 && reading.set.records.some((record) => isVanished(record, present)))
      sweep(present);
    const { state, left: unused } = recordState(reading.set, {
      rules: read.rules,
      links: present,
      networkManagerTells: networkManagerTells(),
    });
    left = [...reading.problems.map(({ name, reason }) => ({ key: name, reason })), ...unused];
    const text = JSON.stringify([state, left, problems, unreadable]);
    if (text === told) return;
    told = text;
    log.info(
      { records: reading.set.records.length, unused: left.length, cause },
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
      ...recordFindings(left, problems),
    ],
    start(listener, signal) {
      tell = (event) => {
        if (!signal.aborted) listener(event);
      };
      look('dnskeeperd started');
      const beside = [paths.rules, ...paths.head, ...paths.tail];
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

function rulesIn(paths: RecordPaths): {
  readonly rules: ResolvconfRules;
  readonly problems: readonly RulesProblem[];
  readonly unreadable: string | undefined;
} {
  let unreadable: string | undefined;
  const textOf = (path: string): string => {
    try {
      return readRulesFile(path) ?? '';
    } catch (error) {
      unreadable ??= printable(messageOf(error), 200);
      return '';
    }
  };
  const { rules, problems } = readRules(textOf(paths.rules));
  const fragments = { head: paths.head.map(textOf), tail: paths.tail.map(textOf) };
  return { rules: withFragments(rules, fragments), problems, unreadable };
}

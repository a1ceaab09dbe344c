import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { withInterfaceOrder } from '../core/interface-order.ts';
import { type ResolvconfRules, type RulesProblem, readRules } from '../core/record-rules.ts';
import { withFragments } from '../core/record-text.ts';
import { compareText, printable } from '../core/text.ts';
import { type RecordPaths, readRulesFile } from './record-paths.ts';

/** What the files of openresolv and of Debian's resolvconf say about records. */
export interface RulesOfMachine {
  readonly rules: ResolvconfRules;
  readonly problems: readonly RulesProblem[];
  /** The first file that cannot be read, in words; it counts as empty. */
  readonly unreadable?: string;
}

/** The rules for records: /etc/resolvconf.conf, and Debian's interface-order. */
export function rulesOfMachine(paths: RecordPaths): RulesOfMachine {
  const { textOf, unreadable } = reader();
  const assigned = readRules(textOf(paths.rules));
  const ordered = withInterfaceOrder(assigned.rules, textOf(paths.interfaceOrder));
  return { rules: ordered.rules, problems: [...assigned.problems, ...ordered.problems], ...unreadable() };
}

/** The same with what an administrator wrote for every resolv.conf, which is no record. */
export function rulesWithFragments(paths: RecordPaths): RulesOfMachine {
  const found = rulesOfMachine(paths);
  const { textOf, unreadable } = reader();
  const fragments = { head: paths.head.map(textOf), tail: paths.tail.map(textOf) };
  return { ...unreadable(), ...found, rules: withFragments(found.rules, fragments) };
}

/** Programs that Debian's resolvconf would run for the name servers of this machine; its own, which writes resolv.conf, is none. */
export function updateScripts({ updateScripts: folder }: RecordPaths): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name !== 'libc' && /^[A-Za-z0-9_-]{1,64}$/.test(name) && mayRun(join(folder, name)))
      .toSorted(compareText);
  } catch {
    return []; // there is no such folder
  }
}

function mayRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function reader() {
  let first: string | undefined;
  return {
    textOf(path: string): string {
      try {
        return readRulesFile(path) ?? '';
      } catch (error) {
        first ??= printable(messageOf(error), 200);
        return '';
      }
    },
    unreadable: () => (first === undefined ? {} : { unreadable: first }),
  };
}

import { lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Config } from '../../src/core/config.ts';
import { type ForeignRules, REASSERT_ALL } from '../../src/core/foreign.ts';
import { type EtcResolvConf, etcResolvConf } from '../../src/outputs/etc-resolv-conf.ts';
import { type OwnTexts, ownTexts } from '../../src/outputs/own-texts.ts';
import { type Files, openFiles } from '../../src/system/files.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { silentLog } from '../../src/system/log.ts';
import { type Paths, systemPaths } from '../../src/system/paths.ts';
import { temporaryFolder } from './folder.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';

/** Text of our own file in these tests. */
export const OUR_TEXT = '# Written by dnskeeper; changes made here are replaced.\nnameserver 192.0.2.1\n';

/** The files of this machine, as the daemon opens them. */
export const realFiles: Files = openFiles(loadLibc());

/** A pretended machine below a temporary root, with our own file already published. */
export interface Etc {
  readonly root: string;
  readonly paths: Paths;
  readonly clock: ManualClock;
  /** Change the setting before a keeper looks at it. */
  takeover: Config['takeover'];
  foreign: ForeignRules;
  /** What our own file said before. */
  readonly earlier: OwnTexts;
  /** What keepers took from other writers, by key. */
  readonly imported: Map<string, string>;
  /** A keeper like that of a freshly started daemon. */
  keeper(files?: Files): EtcResolvConf;
  /** What stands at /etc/resolv.conf: `-> target`, the text, or `(nothing)`. */
  shown(): string;
  write(text: string, mode?: number): void;
  link(target: string): void;
}

/** A machine whose /etc/resolv.conf starts out as `first`: a text, `-> target`, or nothing. */
export function etc(first?: string): Etc {
  const root = temporaryFolder('etc', 'run/dnskeeper', 'var/lib');
  const paths = systemPaths(root);
  const clock = manualClock();
  writeFileSync(paths.resolvConf, OUR_TEXT);
  const machine: Etc = {
    root,
    paths,
    clock,
    takeover: 'auto',
    foreign: REASSERT_ALL,
    earlier: ownTexts(),
    imported: new Map(),
    keeper(files = realFiles) {
      const keeper = etcResolvConf({
        paths,
        files,
        clock,
        log: silentLog,
        takeover: () => machine.takeover,
        foreign: () => machine.foreign,
        imports: {
          keep: (key, text) => void machine.imported.set(key, text),
          end: () => machine.imported.clear(),
        },
        earlier: machine.earlier,
        runningWriters: async () => ['dhclient'],
      });
      onTestFinished(() => keeper.close());
      return keeper;
    },
    shown: () => shownAt(paths.etcResolvConf),
    write: (text, mode = 0o644) => writeFileSync(paths.etcResolvConf, text, { mode }),
    link: (target) => symlinkSync(target, paths.etcResolvConf),
  };
  if (first?.startsWith('-> ')) machine.link(first.slice(3));
  else if (first !== undefined) machine.write(first);
  return machine;
}

/** The stub file of systemd-resolved below a root. */
export function startStub(root: string): void {
  mkdirSync(join(root, 'run/systemd/resolve'), { recursive: true });
  writeFileSync(join(root, 'run/systemd/resolve/stub-resolv.conf'), 'nameserver 127.0.0.53\n');
}

function shownAt(path: string): string {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return '(nothing)';
  return facts.isSymbolicLink() ? `-> ${readlinkSync(path)}` : readFileSync(path, 'utf8');
}

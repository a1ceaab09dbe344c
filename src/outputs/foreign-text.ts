import { messageOf } from '../core/errors.ts';
import { type ForeignRule, type ForeignRules, importedKey, ruleFor, ruleForWriter } from '../core/foreign.ts';
import { writerOfText } from '../core/writer.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import { type FoundLink, MOST_RESOLV_CONF_BYTES } from './find-link.ts';
import type { OwnTexts } from './own-texts.ts';

/** Keeps what another writer wrote, so that its servers count until that is over. */
export interface Imports {
  /** Throws a DnskeeperError where the text is none or cannot be kept. */
  keep(key: string, text: string): void;
  /** Nothing that was kept counts any more. */
  end(): void;
}

/** What somebody else wrote as /etc/resolv.conf, and what the configuration says about it. */
export interface ForeignText {
  /** The rule for a file that was found in our link's place. */
  ruleOf(found: FoundLink, path: string): Promise<ForeignRule>;
  /** What now stands in our own file and the rule for it; undefined when it is ours, put right in the meantime. */
  written(path: string): Promise<{ readonly rule: ForeignRule; readonly text: string } | undefined>;
  /** Take the servers of a text; one without any, or our own that somebody has kept, ends what was taken before. */
  take(path: string, rule: ForeignRule): Promise<void>;
  /** Nothing that was taken counts any more. */
  end(why: string): void;
}

/** What it works with. */
export interface ForeignTextNeeds {
  readonly files: Files;
  readonly log: Log;
  /** The setting in force now. */
  readonly foreign: () => ForeignRules;
  readonly imports: Imports;
  /** What our own file said before: a program that writes it back is done. */
  readonly earlier: Omit<OwnTexts, 'remember'>;
}

/** Reads what others wrote, and has their servers count for a while where the rules say so. */
export function foreignText({ files, log, foreign, imports, earlier }: ForeignTextNeeds): ForeignText {
  const read = async (path: string): Promise<Buffer> =>
    (await files.read(path, MOST_RESOLV_CONF_BYTES)) ?? Buffer.alloc(0);

  /** What cannot be read, as what is larger than any resolv.conf, is none that we have written. */
  const isEarlier = (path: string): Promise<boolean> =>
    read(path).then(
      (bytes) => earlier.has(bytes),
      () => false,
    );

  function end(why: string): void {
    try {
      imports.end();
    } catch (error) {
      log.warn({ why }, `Servers of another writer still count: ${messageOf(error)}`);
    }
  }

  return {
    // Nobody keeps a file that holds our own earlier text: it was their backup, and they have ended.
    async ruleOf(found, path) {
      const rule = ruleFor(foreign(), found);
      const back = rule === 'yield' && found.kind === 'file' && (await isEarlier(path));
      return back ? 'reassert' : rule;
    },
    async written(path) {
      const bytes = await read(path);
      const text = bytes.toString('latin1');
      const writer = writerOfText(text);
      if (earlier.isLast(bytes) || (earlier.isEmpty && writer.program === 'dnskeeper')) return undefined;
      return { rule: earlier.has(bytes) ? 'reassert' : ruleForWriter(foreign(), writer), text };
    },
    async take(path, rule) {
      try {
        const text = (await read(path)).toString('latin1');
        const writer = writerOfText(text);
        if (rule !== 'import' || writer.program === 'dnskeeper' || !namesServers(text))
          return end('our own text was written back');
        imports.keep(importedKey(writer), text);
        log.info(
          { writer: writer.program },
          'The servers that were written to /etc/resolv.conf count for a while.',
        );
      } catch (error) {
        log.warn({}, `What was written to /etc/resolv.conf could not be taken: ${messageOf(error)}`);
      }
    },
    end,
  };
}

/** Whether a text names servers at all: a shell truncates a file before the program that fills it has begun. */
export const namesServers = (text: string): boolean => /^nameserver[ \t]+\S/m.test(text);

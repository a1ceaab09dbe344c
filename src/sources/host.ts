import { readFile } from 'node:fs/promises';
import { messageOf } from '../core/errors.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import { isPublicSuffix } from '../system/public-suffix.ts';
import type { Source } from './source.ts';

/** The machine's own name as the kernel knows it, read once at start and whenever `reread` is called. */
export function hostSource(file = '/proc/sys/kernel/hostname'): Source {
  return {
    name: 'host',
    start(tell, signal) {
      readHost(file).then(
        (event) => {
          if (!signal.aborted) tell(event);
        },
        (error: unknown) => {
          if (!signal.aborted) tell(failure(file, messageOf(error)));
        },
      );
    },
    close: () => Promise.resolve(),
  };
}

async function readHost(file: string): Promise<SourceEvent> {
  const name = (await readFile(file, 'utf8')).trim();
  const dot = name.indexOf('.');
  const parentIsPublicSuffix = dot > 0 && (await isPublicSuffix(name.slice(dot + 1)));
  return {
    source: 'host',
    kind: 'state',
    cause: 'the host name was read',
    state: { links: [], host: { name, parentIsPublicSuffix } },
  };
}

const failure = (file: string, message: string): SourceEvent => ({
  source: 'host',
  kind: 'health',
  health: {
    state: 'failed',
    detail: `${file} could not be read (${message}); the search line lacks the host's domain.`,
  },
});

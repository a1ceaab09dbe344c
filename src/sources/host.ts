import { hostname } from 'node:os';
import { messageOf } from '../core/errors.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import { isPublicSuffix } from '../system/public-suffix.ts';
import type { Source } from './source.ts';

/** The machine's own name as the kernel knows it (uname(2): /proc may show processes alone), read once at start. */
export function hostSource(nameOf: () => string = hostname): Source {
  return {
    name: 'host',
    start(tell, signal) {
      readHost(nameOf).then(
        (event) => {
          if (!signal.aborted) tell(event);
        },
        (error: unknown) => {
          if (!signal.aborted) tell(failure(messageOf(error)));
        },
      );
    },
    close: () => Promise.resolve(),
  };
}

async function readHost(nameOf: () => string): Promise<SourceEvent> {
  const name = nameOf().trim();
  const dot = name.indexOf('.');
  const parentIsPublicSuffix = dot > 0 && (await isPublicSuffix(name.slice(dot + 1)));
  return {
    source: 'host',
    kind: 'state',
    cause: 'the host name was read',
    state: { links: [], host: { name, parentIsPublicSuffix } },
  };
}

const failure = (message: string): SourceEvent => ({
  source: 'host',
  kind: 'health',
  health: {
    state: 'failed',
    detail: `The host name could not be read (${message}); the search line lacks the host's domain.`,
  },
});

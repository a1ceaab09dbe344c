import { messageOf } from '../core/errors.ts';
import type { SourceEvent } from '../core/snapshot.ts';
import { isPublicSuffix } from '../system/public-suffix.ts';
import type { HostName } from './host-name.ts';
import type { Source } from './source.ts';

/** The machine's own name, for the search line. */
export function hostSource(hostName: HostName): Source {
  let letGo = (): void => {};
  return {
    name: 'host',
    start(tell, signal) {
      const read = async (cause: string): Promise<void> => {
        const { current } = hostName;
        const event = await stateOf(current, cause).catch((error: unknown) => failure(messageOf(error)));
        // A later change may have been quicker.
        if (!signal.aborted && hostName.current === current) tell(event);
      };
      letGo = hostName.onChange(() => void read('the host name changed'));
      void read('the host name was read');
    },
    close() {
      letGo();
      return Promise.resolve();
    },
  };
}

async function stateOf(name: string, cause: string): Promise<SourceEvent> {
  const dot = name.indexOf('.');
  const parentIsPublicSuffix = dot > 0 && (await isPublicSuffix(name.slice(dot + 1)));
  return { source: 'host', kind: 'state', cause, state: { links: [], host: { name, parentIsPublicSuffix } } };
}

const failure = (message: string): SourceEvent => ({
  source: 'host',
  kind: 'health',
  health: {
    state: 'failed',
    detail: `The host name could not be read (${message}); the search line lacks the host's domain.`,
  },
});

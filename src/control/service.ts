import { type Domain, parseDomain, ROOT } from '../core/domain.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { explain } from '../core/explain.ts';
import type { Log } from '../system/log.ts';
import { VarlinkError, type VarlinkParameters } from '../system/varlink-frames.ts';
import type { Peer, VarlinkInterface } from '../system/varlink-interface.ts';
import type { DaemonControl, Outcome } from './daemon-control.ts';
import { CONTROL_DESCRIPTION, CONTROL_INTERFACE } from './description.ts';
import { reportOf } from './report.ts';

/** What the interface needs beside the daemon. */
export interface ControlOptions {
  readonly control: DaemonControl;
  /** Who may change things beside root: the daemon's own user when it does not run as root. */
  readonly ownUid: number;
  readonly log: Log;
}

/** The varlink interface io.dnskeeper over a daemon. Reading is free, changing needs root. */
export function controlInterface({ control, ownUid, log }: ControlOptions): VarlinkInterface {
  const changing = (name: string, command: () => Promise<Outcome>) => ({
    answer: async ({ peer }: { readonly peer: Peer | undefined }): Promise<VarlinkParameters> => {
      permit(peer, ownUid);
      log.info({ command: name, pid: peer?.pid, uid: peer?.uid }, `asked to ${name}`);
      return { ...(await outcomeOf(command)) };
    },
  });
  return {
    name: CONTROL_INTERFACE,
    description: CONTROL_DESCRIPTION,
    methods: {
      GetStatus: {
        answer: () => ({ status: reportOf(control.status()) }),
        stream: ({ signal }, send) => {
          until(
            signal,
            control.onStatus((status) => send({ status: reportOf(status) })),
          );
          send({ status: reportOf(control.status()) });
        },
      },
      GetHistory: { answer: () => ({ changes: control.history() }) },
      Monitor: {
        stream: ({ signal }, send) => {
          until(
            signal,
            control.onStatus((status) => send({ status: reportOf(status) })),
          );
          until(
            signal,
            control.onChange((change) => send({ change })),
          );
          send({ status: reportOf(control.status()) });
        },
      },
      Explain: {
        takes: ['name'],
        answer: ({ parameters }) => explanation(String(parameters['name']), control),
      },
      Query: {
        takes: ['name', 'type'],
        answer: async ({ parameters, signal }) => ({
          query: await control
            .query(nameOf(parameters['name']), String(parameters['type']), signal)
            .catch(failed),
        }),
      },
      Flush: {
        takes: ['name'],
        answer: async ({ parameters, peer }) => {
          permit(peer, ownUid);
          const name = nameOf(parameters['name']);
          return { ...(await outcomeOf(() => control.flush(name === ROOT ? undefined : name))) };
        },
      },
      Reload: changing('reload', () => control.reload()),
      Takeover: changing('takeover', () => control.takeover()),
      Release: changing('release', () => control.release()),
    },
  };
}

function until(signal: AbortSignal, stop: () => void): void {
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

function explanation(text: string, control: DaemonControl): VarlinkParameters {
  const { plan, link, resolvConf } = control.status();
  return { explanation: explain(nameOf(text), plan, link, resolvConf.mode) };
}

function nameOf(value: unknown): Domain {
  const name = parseDomain(String(value));
  if (name.ok) return name.value;
  throw new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'name' });
}

function permit(peer: Peer | undefined, ownUid: number): void {
  if (peer?.uid === 0 || peer?.uid === ownUid) return;
  throw new VarlinkError(`${CONTROL_INTERFACE}.PermissionDenied`, {
    wanted: ownUid === 0 ? 'root (uid 0)' : `root (uid 0) or uid ${ownUid}`,
    got:
      peer === undefined
        ? 'a caller whom the kernel did not name (peer credentials are not available here)'
        : `uid ${peer.uid}`,
  });
}

async function outcomeOf(command: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await command();
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): never {
  throw new VarlinkError(`${CONTROL_INTERFACE}.Failed`, {
    code: error instanceof DnskeeperError ? error.code : 'IO',
    message: messageOf(error),
  });
}

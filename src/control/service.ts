import { type Domain, parseDomain, ROOT } from '../core/domain.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { explain } from '../core/explain.ts';
import type { NamesWatch } from '../core/names-report.ts';
import { LONGEST_CHOICE_MS } from '../core/profile-choice.ts';
import type { ResolverView } from '../core/resolver-view.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import { VarlinkError, type VarlinkParameters } from '../system/varlink-frames.ts';
import type { Peer, VarlinkInterface } from '../system/varlink-interface.ts';
import { type DaemonControl, type Outcome, TRIED_NAME } from './daemon-control.ts';
import { CONTROL_DESCRIPTION, CONTROL_INTERFACE } from './description.ts';
import { reportOf } from './report.ts';

/** What the interface needs beside the daemon. */
export interface ControlOptions {
  readonly control: DaemonControl;
  /** Who may change things beside root: the daemon's own user when it does not run as root. */
  readonly ownUid: number;
  readonly log: Log;
  /** The machine's unless told. */
  readonly clock?: Clock;
}

/** The varlink interface io.dnskeeper over a daemon. Reading is free but for names; changing needs root. */
export function controlInterface({
  control,
  ownUid,
  log,
  clock = systemClock,
}: ControlOptions): VarlinkInterface {
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
        answer: async ({ parameters }) => explanation(nameOf(parameters['name']), control),
      },
      Query: {
        takes: ['name', 'type'],
        answer: async ({ parameters, signal }) => ({
          query: await control
            .query(nameOf(parameters['name']), String(parameters['type']), signal)
            .catch(failed),
        }),
      },
      GetStatistics: { answer: () => ({ statistics: control.resolver.statistics() }) },
      GetCache: {
        takes: ['name'],
        answer: ({ parameters, peer }) => {
          permit(peer, ownUid);
          const name = nameOf(parameters['name']);
          return { cache: control.resolver.cache(name === ROOT ? undefined : name, MOST_CACHED) };
        },
      },
      Top: {
        stream: ({ peer, signal }, send) => {
          const names = mayChange(peer, ownUid) ? control.resolver.watchNames() : undefined;
          until(
            signal,
            everySecond(clock, () => send(topReply(control.resolver, names))),
          );
          until(signal, () => names?.close());
        },
      },
      Flush: {
        takes: ['name'],
        answer: async ({ parameters, peer }) => {
          permit(peer, ownUid);
          const name = nameOf(parameters['name']);
          return { ...(await outcomeOf(() => control.flush(name === ROOT ? undefined : name))) };
        },
      },
      UseProfile: {
        takes: { name: 'string?', milliseconds: 'int?' },
        answer: async ({ parameters, peer }) => {
          permit(peer, ownUid);
          const forMs = parameters['milliseconds'] == null ? undefined : spanOf(parameters['milliseconds']);
          const name = parameters['name'] == null ? undefined : String(parameters['name']);
          return { ...(await outcomeOf(() => control.useProfile(name, forMs))) };
        },
      },
      Try: {
        takes: { name: 'string', text: 'string', milliseconds: 'int' },
        answer: async ({ parameters, peer }) => {
          permit(peer, ownUid);
          const name = fileNameOf(parameters['name']);
          const forMs = spanOf(parameters['milliseconds']);
          const text = String(parameters['text']);
          return { ...(await outcomeOf(() => control.tryConfiguration(name, text, forMs))) };
        },
      },
      EndTrial: {
        takes: { keep: 'bool' },
        answer: async ({ parameters, peer }) => {
          permit(peer, ownUid);
          const how = parameters['keep'] === true ? 'keep' : 'go back';
          return { ...(await outcomeOf(() => control.endTrial(how))) };
        },
      },
      Reload: changing('reload', () => control.reload()),
      Takeover: changing('takeover', () => control.takeover()),
      Release: changing('release', () => control.release()),
      GiveWay: changing('give way', () => control.giveWay()),
      StandIn: changing('stand in', () => control.standIn()),
    },
  };
}

function until(signal: AbortSignal, stop: () => void): void {
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

/** So many remembered answers are sent; what is left out is counted. */
const MOST_CACHED = 1000;

const SECOND_MS = 1000;

/** Do it now and every second, until the returned function is called. */
function everySecond(clock: Clock, task: () => void): () => void {
  let cancel = clock.after(SECOND_MS, repeat);
  function repeat(): void {
    cancel = clock.after(SECOND_MS, repeat);
    task();
  }
  task();
  return () => cancel();
}

function topReply(resolver: ResolverView, names: NamesWatch | undefined): VarlinkParameters {
  const statistics = resolver.statistics();
  return names === undefined ? { statistics } : { statistics, names: names.report() };
}

async function explanation(name: Domain, control: DaemonControl): Promise<VarlinkParameters> {
  const { plan, link, resolvConf, resolver } = control.status();
  const explained = explain(name, plan, link, resolvConf.mode);
  if (resolver.state !== 'bound') return { explanation: explained };
  return { explanation: { ...explained, live: await control.resolver.outlook(name) } };
}

function nameOf(value: unknown): Domain {
  const name = parseDomain(String(value));
  if (name.ok) return name.value;
  throw new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'name' });
}

function spanOf(value: unknown): number {
  if (typeof value === 'number' && value >= 1000 && value <= LONGEST_CHOICE_MS) return value;
  throw new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'milliseconds' });
}

/** It becomes the name of a file, so nothing that leads out of a folder. */
function fileNameOf(value: unknown): string {
  if (typeof value === 'string' && TRIED_NAME.test(value)) return value;
  throw new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'name' });
}

const mayChange = (peer: Peer | undefined, ownUid: number): boolean =>
  peer?.uid === 0 || peer?.uid === ownUid;

function permit(peer: Peer | undefined, ownUid: number): void {
  if (mayChange(peer, ownUid)) return;
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

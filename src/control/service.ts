import { type Domain, parseDomain, ROOT } from '../core/domain.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { explain } from '../core/explain.ts';
import type { NamesWatch } from '../core/names-report.ts';
import { LONGEST_CHOICE_MS } from '../core/profile-choice.ts';
import type { ResolverView } from '../core/resolver-view.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import { VarlinkError, type VarlinkParameters } from '../system/varlink-frames.ts';
import type { Peer, VarlinkInterface, VarlinkMethod } from '../system/varlink-interface.ts';
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
export function controlInterface(options: ControlOptions): VarlinkInterface {
  return {
    name: CONTROL_INTERFACE,
    description: CONTROL_DESCRIPTION,
    methods: { ...freeMethods(options), ...methodsOverNames(options), ...changingMethods(options) },
  };
}

type Methods = VarlinkInterface['methods'];

function freeMethods({ control }: ControlOptions): Methods {
  const followStatus: NonNullable<VarlinkMethod['stream']> = ({ signal }, send) => {
    until(
      signal,
      control.onStatus((status) => send({ status: reportOf(status) })),
    );
    send({ status: reportOf(control.status()) });
  };
  return {
    GetStatus: { answer: () => ({ status: reportOf(control.status()) }), stream: followStatus },
    GetHistory: { answer: () => ({ changes: control.history() }) },
    Monitor: {
      stream: (call, send) => {
        until(
          call.signal,
          control.onChange((change) => send({ change })),
        );
        return followStatus(call, send);
      },
    },
    Explain: {
      takes: ['name'],
      answer: async ({ parameters }) => explanation(nameOf(parameters['name']), control),
    },
    Query: {
      takes: ['name', 'type'],
      // Not the call's signal: who has closed the writing side may still read the answer.
      answer: async ({ parameters }) => ({
        query: await control
          .query(nameOf(parameters['name']), String(parameters['type']), AbortSignal.timeout(QUERY_MS))
          .catch(failed),
      }),
    },
    GetStatistics: { answer: () => ({ statistics: control.resolver.statistics() }) },
  };
}

/** Longer than dnsctl waits. */
const QUERY_MS = 10_000;

/** Who asked for which names is nobody else's business. */
function methodsOverNames({ control, ownUid, clock = systemClock }: ControlOptions): Methods {
  return {
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
  };
}

function changingMethods({ control, ownUid, log }: ControlOptions): Methods {
  const changing = (
    what: string,
    command: (parameters: VarlinkParameters) => Promise<Outcome>,
    takes?: NonNullable<VarlinkMethod['takes']>,
  ): VarlinkMethod => ({
    ...(takes === undefined ? {} : { takes }),
    answer: async ({ peer, parameters }) => {
      permit(peer, ownUid);
      log.info({ command: what, pid: peer?.pid, uid: peer?.uid }, `asked to ${what}`);
      return { ...(await command(parameters).catch(failed)) };
    },
  });
  return {
    Flush: changing(
      'forget answers',
      async ({ name: text }) => {
        const name = nameOf(text);
        return control.flush(name === ROOT ? undefined : name);
      },
      ['name'],
    ),
    UseProfile: changing(
      'use a profile',
      async ({ name, milliseconds }) =>
        control.useProfile(
          name == null ? undefined : String(name),
          milliseconds == null ? undefined : spanOf(milliseconds),
        ),
      { name: 'string?', milliseconds: 'int?' },
    ),
    Try: changing(
      'try a configuration',
      async ({ name, text, milliseconds }) =>
        control.tryConfiguration(fileNameOf(name), String(text), spanOf(milliseconds)),
      { name: 'string', text: 'string', milliseconds: 'int' },
    ),
    EndTrial: changing(
      'end a trial',
      async ({ keep }) => control.endTrial(keep === true ? 'keep' : 'go back'),
      { keep: 'bool' },
    ),
    Reload: changing('reload', () => control.reload()),
    Takeover: changing('takeover', () => control.takeover()),
    Release: changing('release', () => control.release()),
    GiveWay: changing('give way', () => control.giveWay()),
    StandIn: changing('stand in', () => control.standIn()),
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

/** What goes wrong while a command is carried out; a wrong parameter stays what it is. */
function failed(error: unknown): never {
  if (error instanceof VarlinkError) throw error;
  throw new VarlinkError(`${CONTROL_INTERFACE}.Failed`, {
    code: error instanceof DnskeeperError ? error.code : 'IO',
    message: messageOf(error),
  });
}

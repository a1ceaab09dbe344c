import { constants } from 'node:os';
import { parseDomain } from '../core/domain.ts';
import { DnskeeperError } from '../core/errors.ts';
import { renderNetnsConf } from '../core/netns-conf.ts';
import { type EtcResolvConf, etcResolvConf } from '../outputs/etc-resolv-conf.ts';
import type { Hooks } from '../outputs/hooks.ts';
import { type NetnsFiles, netnsFiles } from '../outputs/netns-files.ts';
import { type OwnTexts, ownTexts } from '../outputs/own-texts.ts';
import { type ResolvedFiles, resolvedFiles } from '../outputs/resolved-files.ts';
import { type ResolverOutput, resolverOutput } from '../outputs/resolver-output.ts';
import { type LiveResolver, openResolver } from '../resolver/open.ts';
import { ConfigFiles } from '../sources/config-file.ts';
import { followHostName, type HostName } from '../sources/host-name.ts';
import { type PushedLinks, pushedLinks } from '../sources/pushed-links.ts';
import type { Records } from '../sources/records.ts';
import { firstTime, type MovedClock, movedClock } from '../sources/replay.ts';
import type { Standin } from '../standin/standin.ts';
import type { Bus } from '../system/bus.ts';
import type { ServiceBus } from '../system/bus-service.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import { openBus } from '../system/dbus-next-bus.ts';
import { type Files, openFiles } from '../system/files.ts';
import { selinuxLabels } from '../system/labels.ts';
import { type Libc, loadLibc } from '../system/libc.ts';
import { NO_STORE, type SocketStore, socketStore } from '../system/listen-fds.ts';
import { takeLock } from '../system/lock.ts';
import type { Log } from '../system/log.ts';
import { type LeveledLog, type LogLevel, openLog } from '../system/log-pino.ts';
import type { KernelNetwork } from '../system/netlink.ts';
import { type ServiceNotifier, serviceNotifier } from '../system/notify.ts';
import type { Paths } from '../system/paths.ts';
import { runningWriters } from '../system/processes.ts';
import { hearRealTimeSignal, type RealTimeSignal } from '../system/real-time-signal.ts';
import { sweep, sweepAfterStorms } from '../system/sweep.ts';
import { type Watch, watchFile } from '../system/watch.ts';
import { openBackEnd } from './back-end.ts';
import { openHooks } from './hooks.ts';
import { openLibcHooks } from './libc-hooks.ts';
import { openNetwork } from './network.ts';
import { placesToListen } from './places.ts';
import { importsAsRecords, openRecords } from './records.ts';

/** Options of the command line by their long names. */
export type Options = Readonly<Record<string, string>>;

/** Everything real that a daemon stands on; `held` closes it in reverse, also when a start fails half-way. */
export interface Ground {
  readonly paths: Paths;
  readonly options: Options;
  readonly configuration: ConfigFiles;
  readonly log: LeveledLog;
  readonly libc: Libc | undefined;
  readonly notifier: ServiceNotifier;
  /** SIGRTMIN+1 and SIGRTMIN+18, as systemd-resolved has them. */
  readonly realTime: { readonly forget: RealTimeSignal; readonly trim: RealTimeSignal };
  /** Listening sockets of the process before us. */
  readonly sockets: SocketStore;
  readonly files: Files;
  readonly clock: Clock;
  /** Set while a recording is replayed at speed: the clock that the replay moves. */
  readonly moved: MovedClock | undefined;
  /** Absent while a recording stands in for it. */
  readonly bus: Bus | undefined;
  readonly hostName: HostName;
  /** Links, addresses and default routes. */
  readonly network: KernelNetwork;
  /** What programs told resolvconf(8). */
  readonly records: Records;
  /** What is pushed over systemd-resolved's interface, and the connection it is served on; only on a live system. */
  readonly resolve1: { readonly bus: ServiceBus; readonly pushed: PushedLinks } | undefined;
  /** Who stands in for systemd-resolved, once it is there. */
  readonly standin: { current: Standin | undefined };
  readonly link: EtcResolvConf;
  /** What our file said, for the link. */
  readonly earlier: OwnTexts;
  /** Our files under systemd-resolved's names. */
  readonly resolvedFiles: ResolvedFiles;
  readonly live: LiveResolver;
  readonly resolver: ResolverOutput;
  readonly netns: NetnsFiles;
  /** Absent where none are run. */
  readonly hooks: Hooks | undefined;
  /** Those of other packages. */
  readonly libcHooks: readonly Hooks[];
  readonly watches: Watch[];
  readonly labelProblem: () => string | undefined;
  readonly held: AsyncDisposableStack;
}

/** Build everything real that the daemon stands on; nothing is written outside our own folder yet. */
export async function prepare(paths: Paths, options: Options, held: AsyncDisposableStack): Promise<Ground> {
  const configuration = await ConfigFiles.open(paths, openFiles(undefined));
  const log = openLog({ level: levelOf(options) ?? configuration.current.config.logLevel });
  const libc = loadLibc((reason) => log.warn({}, reason));
  // Node keeps it from every thread when it is told not to open its debugger for it (packaging/dnskeeperd).
  libc?.signals.unblock(constants.signals.SIGUSR1);
  // Before much is open: they need descriptors of certain numbers.
  const realTime = {
    forget: hearRealTimeSignal(libc, 1, log),
    trim: hearRealTimeSignal(libc, 18, log),
  };
  for (const signal of Object.values(realTime)) held.defer(() => signal.close());
  const network = openNetwork(paths.root, libc, log.child('network'));
  held.defer(() => network.close());
  const labels = selinuxLabels(paths.root, log);
  const files = openFiles(libc, labels.relabel);
  await files.makeFolder(paths.runtime, 0o755);
  await refuseForeign(paths.runtime, files);
  const lock = await takeLock(paths.lock, libc);
  held.defer(() => lock.release());
  const recording = options['replay'];
  const moved =
    recording !== undefined && !('paced' in options) ? movedClock(await firstTime(recording)) : undefined;
  const clock = moved ?? systemClock;
  const bus = recording === undefined ? openBus({ log: log.child('bus'), clock }) : undefined;
  held.defer(() => bus?.close());
  const resolve1 =
    bus !== undefined && paths.mode === 'system' && paths.root === '' ? serving(log) : undefined;
  held.defer(() => resolve1?.bus.close());
  const earlier = ownTexts();
  const link = etcResolvConf({
    paths,
    files,
    clock,
    log: log.child('link'),
    takeover: () => configuration.current.config.takeover,
    foreign: () => configuration.current.config.foreign,
    imports: importsAsRecords(paths.root),
    earlier,
    runningWriters: () => (paths.root === '' ? runningWriters('/proc') : Promise.resolve([])),
  });
  const furtherNames = resolvedFiles({
    paths,
    files,
    clock: systemClock,
    log: log.child('resolved-files'),
  });
  held.defer(() => furtherNames.close());
  const labelProblem = (): string | undefined => labels.problem;
  const settings = (): ConfigFiles['current']['config'] => configuration.current.config;
  const netns = netnsFiles({
    folder: paths.netnsFolder,
    files,
    // A daemon in user mode never writes below /etc.
    names: () => (paths.mode === 'user' ? [] : settings().netns),
    render: ({ plan, time }, name) => renderNetnsConf(plan, time, name),
    watch: (path, onEvent) => watchFile(path, onEvent, log),
    clock: systemClock,
    log: log.child('netns'),
  });
  const notifier = serviceNotifier(process.env, libc, log);
  const sockets =
    libc === undefined
      ? NO_STORE
      : socketStore({ env: process.env, pid: process.pid, libc, notifier, log: log.child('sockets') });
  const hostName = followHostName(bus);
  const records = openRecords({ paths, bus, configuration, network, log });
  const live = openResolver({
    hostsFile: paths.hosts,
    onRemembered: sweepAfterStorms(systemClock, () => sweep(libc)),
    hostName: () => hostName.current,
    clock: systemClock,
    log: log.child('resolver'),
    libc,
    sockets,
    settings,
    threads: () => settings().threads,
    isOwn: (host, port) => resolver.isOwn(host, port),
    backEndUnanswered: () => backEnd?.unanswered(),
    onFlush: (name) => backEnd?.flush(name),
  });
  held.defer(() => live.close());
  // Servers may have said something else of the name that is ours now.
  const renamed = (): void => {
    const name = parseDomain(hostName.current);
    if (name.ok) live.cache.flush(name.value);
  };
  held.defer(hostName.onChange(renamed));
  const backEnd = openBackEnd({ paths, files, bus, log, configuration, live });
  const resolver: ResolverOutput = resolverOutput({
    resolver: live.resolver,
    ...(backEnd === undefined ? {} : { backEnd }),
    reception: live.reception,
    places: () => placesToListen(paths, 'replay' in options, settings()),
    sharesAddresses: () => paths.mode === 'system' && settings().listen.length === 0,
    listen: (at) => live.listen(at),
    hold: (at) => live.hold(at),
    expectQuestions: () => live.expectQuestions(),
    sockets,
    clock: systemClock,
    log: log.child('resolver'),
  });
  return {
    live,
    resolver,
    paths,
    options,
    configuration,
    log,
    libc,
    notifier,
    realTime,
    sockets,
    files,
    clock,
    moved,
    bus,
    hostName,
    network,
    records,
    resolve1,
    standin: { current: undefined },
    link,
    earlier,
    resolvedFiles: furtherNames,
    netns,
    hooks: openHooks(paths, log),
    libcHooks: openLibcHooks(paths, log),
    watches: [],
    labelProblem,
    held,
  };
}

/** The log level of the command line, which goes before that of the configuration. */
export function levelOf(options: Options): LogLevel | undefined {
  return options['log-level'] as LogLevel | undefined; // the command table lists exactly these words
}

/** A connection of its own: what is called by systemd-resolved's name on another must not come back to us. */
function serving(log: Log): { readonly bus: ServiceBus; readonly pushed: PushedLinks } {
  return {
    bus: openBus({ log: log.child('resolve1-bus'), clock: systemClock }),
    pushed: pushedLinks(log.child('pushed-links')),
  };
}

/** Whoever can write into our folder can replace the files and the socket in it. */
async function refuseForeign(folder: string, files: Files): Promise<void> {
  const facts = await files.look(folder);
  const own = facts?.uid === 0 || facts?.uid === process.geteuid?.();
  if (facts?.kind === 'folder' && own && (facts.mode & 0o022) === 0) return;
  const got =
    facts?.kind === 'folder' ? `uid ${facts.uid} and mode 0${facts.mode.toString(8)}` : 'something else';
  throw new DnskeeperError(
    'IO',
    `Wanted ${folder} to be a folder that nobody else can write into, got ${got}; remove it, or choose another place.`,
  );
}

import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { DNSKEEPERD, EXIT } from './control/command-table.ts';
import { controlInterface } from './control/service.ts';
import { parseDomain } from './core/domain.ts';
import { DnskeeperError, messageOf } from './core/errors.ts';
import { beyondFile } from './core/file-mode.ts';
import { pushedFindings } from './core/findings-pushed.ts';
import { describeProblem } from './core/health.ts';
import type { FinishedQuery } from './core/lookup.ts';
import { formatRecordedEvent } from './core/recording.ts';
import { renderResolvConf, renderStubConf, renderUpstreamConf } from './core/resolv-conf.ts';
import { formatHost } from './core/server.ts';
import type { Finding } from './core/status.ts';
import type { ResolvedPresence } from './core/takeover.ts';
import { VERSION } from './core/version.ts';
import { startDaemon } from './daemon.ts';
import type { Daemon } from './daemon-parts.ts';
import { type EtcResolvConf, etcResolvConf } from './outputs/etc-resolv-conf.ts';
import type { Decision } from './outputs/output.ts';
import { type RenderedFiles, resolvConfFile } from './outputs/resolv-conf-file.ts';
import { type ResolverOutput, resolverOutput } from './outputs/resolver-output.ts';
import type { ListenAt } from './resolver/listener.ts';
import { finishedQuery, resolverLookup } from './resolver/lookup.ts';
import { type LiveResolver, openResolver } from './resolver/open.ts';
import { ConfigFiles, loadConfig } from './sources/config-file.ts';
import { hostSource } from './sources/host.ts';
import { followHostName, type HostName } from './sources/host-name.ts';
import { networkManagerSource } from './sources/networkmanager.ts';
import { isRestarting } from './sources/own-job.ts';
import { type PushedLinks, pushedLinks } from './sources/pushed-links.ts';
import { firstTime, type MovedClock, movedClock, replay } from './sources/replay.ts';
import { followResolved, resolvedHasServers } from './sources/resolved-presence.ts';
import { onResume } from './sources/sleep.ts';
import type { Source } from './sources/source.ts';
import { levelOfSyslog, syslogLevel } from './standin/log-level.ts';
import { openStandin } from './standin/open.ts';
import { followSignals } from './standin/signals.ts';
import type { Standin } from './standin/standin.ts';
import type { Bus } from './system/bus.ts';
import type { ServiceBus } from './system/bus-service.ts';
import { type Clock, systemClock } from './system/clock.ts';
import { parseCommandLine } from './system/command-line.ts';
import { openBus } from './system/dbus-next-bus.ts';
import { type Files, openFiles } from './system/files.ts';
import { ifindexOf } from './system/ifindex.ts';
import { kernelLinks } from './system/kernel-links.ts';
import { selinuxLabels } from './system/labels.ts';
import { type Libc, loadLibc } from './system/libc.ts';
import { NO_STORE, type SocketStore, socketStore } from './system/listen-fds.ts';
import { takeLock } from './system/lock.ts';
import type { Log } from './system/log.ts';
import { type LeveledLog, type LogLevel, openLog } from './system/log-pino.ts';
import { watchMemoryPressure } from './system/memory-pressure.ts';
import { type ServiceNotifier, serviceNotifier } from './system/notify.ts';
import { type Paths, systemPaths, userPaths } from './system/paths.ts';
import { runningWriters } from './system/processes.ts';
import { openRecording } from './system/recording-file.ts';
import { sweep, sweepAfterStorms } from './system/sweep.ts';
import { serveVarlink } from './system/varlink.ts';
import type { ServiceInfo } from './system/varlink-interface.ts';
import { type Watch, watchFile, watchFolders } from './system/watch.ts';

type Options = Readonly<Record<string, string>>;

/**
 * How long the files of an earlier run stay, and queries wait in its sockets or those of a socket unit, while the sources
 * have not all spoken or name no server.
 */
const HOLD_FIRST_MS = 2000;

/** How long a systemd-resolved that starts may take to learn servers before /etc/resolv.conf is its. */
const RESOLVED_READY_MS = 500;

/** By then a start has come to rest; it leaves 4 MB behind. */
const SWEEP_AFTER_START_MS = 5000;

/** How long --once waits for the link to be decided. */
const LINK_DECIDED_MS = 6000;

process.exitCode = await main(process.argv.slice(2));

/** Run the daemon until it is told to stop; returns its exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const command = parseCommandLine(DNSKEEPERD, argv);
  if (command.kind === 'print') return say(process.stdout, command.text, EXIT.done);
  if (command.kind === 'wrong') return say(process.stderr, command.text, EXIT.usage);
  try {
    const paths = choosePaths(command.options);
    return 'check' in command.options ? await check(paths) : await run(paths, command.options);
  } catch (error) {
    if (!(error instanceof DnskeeperError)) throw error;
    return say(
      process.stderr,
      `dnskeeperd: ${error.message}\n`,
      error.code === 'USAGE' ? EXIT.usage : EXIT.problem,
    );
  }
}

function say(stream: NodeJS.WriteStream, text: string, code: number): number {
  stream.write(text);
  return code;
}

/** System mode as root or below a root folder, user mode otherwise. */
function choosePaths(options: Options): Paths {
  const root = options['root'];
  const asUser = 'user' in options || (process.getuid?.() !== 0 && root === undefined);
  if (asUser && root !== undefined)
    throw new DnskeeperError('USAGE', '--user and --root exclude each other.');
  if ('replay' in options && !asUser && (root === undefined || root === '/')) {
    throw new DnskeeperError(
      'USAGE',
      '--replay writes what was recorded elsewhere: name a folder with --root, or use --user.',
    );
  }
  const paths = asUser
    ? userPaths(runtimeFolderOfUser())
    : systemPaths(root === undefined || root === '/' ? '' : root);
  return options['config'] === undefined ? paths : { ...paths, configFile: options['config'] };
}

function runtimeFolderOfUser(): string {
  const folder = process.env['XDG_RUNTIME_DIR'];
  if (folder?.startsWith('/')) return folder;
  throw new DnskeeperError(
    'USAGE',
    'User mode wants XDG_RUNTIME_DIR to name a folder of yours; log in properly or set it.',
  );
}

async function check(paths: Paths): Promise<number> {
  const { files, problems } = await loadConfig(paths, openFiles(undefined));
  for (const problem of problems) process.stderr.write(`${describeProblem(problem)}\n`);
  if (problems.length > 0) return EXIT.problem;
  return say(process.stdout, `The configuration is good (${files.length} file(s) read).\n`, EXIT.done);
}

/** Everything real that a daemon stands on; `held` closes it in reverse, also when a start fails half-way. */
interface Ground {
  readonly paths: Paths;
  readonly options: Options;
  readonly configuration: ConfigFiles;
  readonly log: LeveledLog;
  readonly libc: Libc | undefined;
  readonly notifier: ServiceNotifier;
  /** Listening sockets of the process before us. */
  readonly sockets: SocketStore;
  readonly files: Files;
  readonly clock: Clock;
  /** Set while a recording is replayed at speed: the clock that the replay moves. */
  readonly moved: MovedClock | undefined;
  /** Absent while a recording stands in for it. */
  readonly bus: Bus | undefined;
  readonly hostName: HostName;
  /** What is pushed over systemd-resolved's interface, and the connection it is served on; only on a live system. */
  readonly resolve1: { readonly bus: ServiceBus; readonly pushed: PushedLinks } | undefined;
  /** Who stands in for systemd-resolved, once it is there. */
  readonly standin: { current: Standin | undefined };
  readonly link: EtcResolvConf;
  readonly live: LiveResolver;
  readonly resolver: ResolverOutput;
  readonly watches: Watch[];
  readonly labelProblem: () => string | undefined;
  readonly held: AsyncDisposableStack;
}

async function run(paths: Paths, options: Options): Promise<number> {
  process.title = 'dnskeeperd';
  await using held = new AsyncDisposableStack();
  const stopped = stopSignal(held);
  const ground = await prepare(paths, options, held);
  const daemon = await startOn(ground);
  held.defer(async () => daemon.close(await whoIsNext(ground)));
  await serve(ground, daemon);
  standInForResolved(ground, daemon);
  followOutside(ground, daemon);
  announce(ground, daemon, stopped.signal);
  const recording = options['replay'];
  if (recording !== undefined) await feed(recording, ground, daemon, stopped.signal);
  if (!('once' in options)) await stopped.happened;
  else {
    await Promise.race([daemon.spoken.then(() => linkDecided(daemon)), stopped.happened]);
    await daemon.idle();
  }
  return 'once' in options && !daemon.status().healthy ? EXIT.problem : EXIT.done;
}

/** Only systemd keeps our sockets for another process. */
async function whoIsNext({ bus, sockets }: Ground): Promise<'nobody' | 'another process'> {
  const keeps = sockets !== NO_STORE && process.env['NOTIFY_SOCKET'] !== undefined;
  return keeps && bus !== undefined && (await isRestarting(bus, process.pid)) ? 'another process' : 'nobody';
}

/** Wait for the link too, which is left alone until there is word of systemd-resolved or a deadline has passed. */
function linkDecided(daemon: Daemon): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (daemon.status().link.state !== 'unknown') resolve();
  };
  const stop = daemon.onStatus(look);
  const cancel = systemClock.after(LINK_DECIDED_MS, resolve);
  look();
  return promise.finally(() => {
    cancel();
    stop();
  });
}

async function prepare(paths: Paths, options: Options, held: AsyncDisposableStack): Promise<Ground> {
  const configuration = await ConfigFiles.open(paths, openFiles(undefined));
  const log = openLog({ level: levelOf(options) ?? configuration.current.config.logLevel });
  const libc = loadLibc((reason) => log.warn({}, reason));
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
  const link = etcResolvConf({
    paths,
    files,
    clock,
    log: log.child('link'),
    takeover: () => configuration.current.config.takeover,
    runningWriters: () => (paths.root === '' ? runningWriters('/proc') : Promise.resolve([])),
  });
  const labelProblem = (): string | undefined => labels.problem;
  const settings = (): ConfigFiles['current']['config'] => configuration.current.config;
  const notifier = serviceNotifier(process.env, libc, log);
  const sockets =
    libc === undefined
      ? NO_STORE
      : socketStore({ env: process.env, pid: process.pid, libc, notifier, log: log.child('sockets') });
  const hostName = followHostName(bus);
  const live = openResolver({
    hostsFile: paths.hosts,
    onRemembered: sweepAfterStorms(systemClock),
    hostName: () => hostName.current,
    clock: systemClock,
    log: log.child('resolver'),
    libc,
    sockets,
    settings,
    threads: () => settings().threads,
    isOwn: (host, port) => resolver.isOwn(host, port),
  });
  held.defer(() => live.close());
  // Servers may have said something else of the name that is ours now.
  const renamed = (): void => {
    const name = parseDomain(hostName.current);
    if (name.ok) live.cache.flush(name.value);
  };
  held.defer(hostName.onChange(renamed));
  const resolver: ResolverOutput = resolverOutput({
    resolver: live.resolver,
    reception: live.reception,
    places: () => placesToListen(paths, options, settings()),
    sharesAddresses: () => paths.mode === 'system' && settings().listen.length === 0,
    listen: (at) => live.listen(at),
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
    sockets,
    files,
    clock,
    moved,
    bus,
    hostName,
    resolve1,
    standin: { current: undefined },
    link,
    watches: [],
    labelProblem,
    held,
  };
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

/** Where the resolver listens: its standard places, or what the configuration says instead. */
function placesToListen(
  { mode, root }: Paths,
  options: Options,
  { listen }: ConfigFiles['current']['config'],
): { readonly at: readonly ListenAt[]; readonly whyNone: string } {
  const at = (host: string, port: number, service: ListenAt['service']): ListenAt => ({
    host,
    port,
    service,
  });
  if (listen.length > 0)
    return { at: listen.map((one) => at(formatHost(one), one.port, 'full')), whyNone: '' };
  const none = (whyNone: string) => ({ at: [], whyNone });
  if ('replay' in options) return none('A recording is replayed, so the resolver does not listen.');
  if (mode === 'user') return { at: [at('127.0.0.53', 5300, 'full')], whyNone: '' };
  if (root !== '') return none('Below a root folder the resolver listens only where resolver.listen says.');
  return { at: [at('127.0.0.53', 53, 'full'), at('127.0.0.54', 53, 'proxy')], whyNone: '' };
}

async function startOn(ground: Ground): Promise<Daemon> {
  const { paths, options, files, link, live, resolver, sockets, configuration, clock, log, bus, held } =
    ground;
  const record =
    options['record'] === undefined ? undefined : openRecording(options['record'], log, options['replay']);
  held.defer(() => record?.close());
  const existed = (await files.look(paths.resolvConf)) !== undefined;
  return startDaemon(
    {
      sources: bus === undefined ? [] : liveSources(bus, ground),
      files: (written) => resolvConfFile(paths, files, render, written),
      link,
      resolver: {
        ...resolver,
        async giveWay() {
          await Promise.all([resolver.giveWay(), ground.standin.current?.giveWay()]);
        },
        query: (name, type, signal) => live.query(name, type, signal),
        flush: (name) => live.cache.flush(name),
        view: live.view,
      },
      configuration,
      clock,
      log: log.child('daemon'),
      about: { version: VERSION, pid: process.pid, mode: paths.mode, root: paths.root },
      findings: () => machineFindings(ground),
      residentBytes: () => process.memoryUsage.rss(),
      onEvent: (event) => record?.append(formatRecordedEvent(event, clock.now())),
    },
    (existed || sockets.waiting > 0) && bus !== undefined ? HOLD_FIRST_MS : 0,
  );
}

function render({ plan, time, nameserver }: Decision): RenderedFiles {
  const resolvConf =
    nameserver === undefined ? renderResolvConf(plan, time) : renderStubConf(plan, time, nameserver);
  return { resolvConf, upstreamConf: renderUpstreamConf(plan, time) };
}

async function feed(
  recording: string,
  { clock, moved, log }: Ground,
  daemon: Daemon,
  stop: AbortSignal,
): Promise<void> {
  const time =
    moved === undefined ? ({ kind: 'paced', clock } as const) : ({ kind: 'moved', clock: moved } as const);
  const events = await replay(recording, daemon, time, stop);
  log.info({ events }, 'The recording was replayed.');
}

function levelOf(options: Options): LogLevel | undefined {
  return options['log-level'] as LogLevel | undefined; // the command table lists exactly these words
}

function liveSources(bus: Bus, { hostName, configuration, log, resolve1 }: Ground): readonly Source[] {
  const networkmanager = networkManagerSource(bus, {
    ifindexOf,
    log: log.child('networkmanager'),
    clock: systemClock,
  });
  return [
    hostSource(hostName),
    ...(configuration.current.config.networkmanager ? [networkmanager] : []),
    ...(resolve1 === undefined ? [] : [resolve1.pushed]),
  ];
}

/** What is wrong with the machine itself, for the status. */
function machineFindings({
  labelProblem,
  watches,
  libc,
  live,
  standin,
  resolve1,
}: Ground): readonly Finding[] {
  const problems = new Set([
    labelProblem(),
    live.problem,
    standin.current?.problem,
    ...watches.map((watch) => watch.problem),
  ]);
  const findings: Finding[] = [];
  for (const text of problems) {
    if (text !== undefined) findings.push({ severity: 'warning', id: 'machine', text });
  }
  if (libc === undefined) {
    const text =
      'The native library koffi is missing: no kernel lock, no immutable check, and dnsctl cannot change anything.';
    findings.push({ severity: 'warning', id: 'no-koffi', text, mend: 'reinstall dnskeeper' });
  }
  return [...findings, ...pushedFindings(resolve1?.pushed.all() ?? [])];
}

function serviceInfo(): ServiceInfo {
  return { vendor: 'dnskeeper', product: 'dnskeeperd', version: VERSION, url: 'man:dnsctl(1)' };
}

async function serve({ paths, libc, log, held }: Ground, daemon: Daemon): Promise<void> {
  const server = await serveVarlink({
    path: paths.socket,
    interfaces: [controlInterface({ control: daemon, ownUid: userInfo().uid, log: log.child('control') })],
    info: serviceInfo(),
    log: log.child('varlink'),
    peerOf: (fd) => libc?.peerCredentials(fd),
  });
  held.defer(() => server.close());
}

/** Be there for systemd-resolved's clients while it is not; `followOutside` tells when. */
function standInForResolved(ground: Ground, daemon: Daemon): void {
  const { resolve1, live, configuration, libc, log, paths, files, held } = ground;
  if (resolve1 === undefined) return;
  const { bus, pushed } = resolve1;
  const links = kernelLinks(paths.root);
  let latest = daemon.status();
  const linkNumber = (key: string): number =>
    latest.plan.links.find((link) => link.key === key)?.origin.ifindex ?? ifindexOf(key) ?? 0;
  const watchers = new Set<(query: FinishedQuery) => void>();
  const heard = (query: FinishedQuery): void => {
    for (const watcher of watchers) watcher(query);
  };
  const made = openStandin({
    folder: `${paths.root}/run/systemd/resolve`,
    bus,
    files,
    pushed,
    links,
    status: () => daemon.status(),
    search: () => latest.plan.search.map(({ value }) => value),
    config: () => configuration.current.config,
    followsNetworkManager: () => configuration.current.config.networkmanager,
    lookup: resolverLookup({ resolver: live.resolver, ifindexOf: linkNumber, heard }),
    onQuery(listener) {
      const stop = live.watchAnswers((query, answer) => listener(finishedQuery(query, answer, linkNumber)));
      watchers.add(listener);
      return () => {
        watchers.delete(listener);
        stop();
      };
    },
    onConfiguration: (listener) => daemon.onStatus(() => listener()),
    remembered: (most) => live.cache.remembered(most),
    ifindexOf: linkNumber,
    resolverStatistics: () => live.view.statistics(),
    flush: () => void live.cache.flush(),
    forgetServers: () => live.resolver.forgive(),
    logControl: {
      level: () => syslogLevel(log.level),
      setLevel: (level) => log.setLevel(levelOfSyslog(level)),
    },
    ownUid: userInfo().uid,
    peerOf: (fd) => libc?.peerCredentials(fd),
    info: serviceInfo(),
    clock: systemClock,
    log: log.child('standin'),
  });
  ground.standin.current = made;
  held.defer(
    daemon.onStatus((status) => {
      latest = status;
      made.changed();
      if (pushed.all().length > 0)
        pushed.keepOnly(links.all().map(({ ifindex, name }) => ({ ifindex, interface: name })));
    }),
  );
  held.defer(() => made.close());
}

/** Everything outside that makes us look again: the files, the configuration, systemd-resolved, waking up, SIGHUP. */
function followOutside(
  {
    paths,
    options,
    configuration,
    log,
    libc,
    bus,
    resolve1,
    standin,
    link,
    live,
    resolver,
    watches,
    held,
  }: Ground,
  daemon: Daemon,
): void {
  const reload = async (cause: string): Promise<void> => {
    await daemon.reloadFor(cause);
    log.setLevel(levelOf(options) ?? configuration.current.config.logLevel);
  };
  const hangUp = (): void => void reload('SIGHUP');
  process.on('SIGHUP', hangUp);
  const stopSignals = followSignals({
    status: () => daemon.status(),
    statistics: () => live.view.statistics(),
    flush: () => void live.cache.flush(),
    log: log.child('signals'),
  });
  const folders = [dirname(paths.configFile), paths.localConfigFolder, paths.vendorConfigFolder];
  watches.push(
    watchFile(paths.etcResolvConf, () => void link.check('/etc/resolv.conf changed'), log),
    watchFile(paths.resolvConf, () => void daemon.checkFile(), log),
    watchFolders(folders, () => void reload('the configuration changed'), log),
    watchMemoryPressure({ env: process.env, libc, clock: systemClock, log }, () => relieve(live, log)),
  );
  const replaying = 'replay' in options;
  let resolved: ResolvedPresence = 'unknown';
  held.defer(
    followResolved(
      bus,
      paths.root,
      replaying,
      async (presence) => {
        const started = presence === 'running' && resolved === 'absent';
        resolved = presence;
        const settled = resolver.resolved(presence);
        void standin.current?.resolved(presence);
        // Our file names real servers meanwhile.
        if (started) await resolvedHasServers(paths.root, log, RESOLVED_READY_MS);
        // By a plain file, names of one network would be asked of the servers of another.
        const { plan } = daemon.status();
        if (presence === 'absent' && beyondFile(plan, configuration.current.config).length > 0) await settled;
        if (presence === resolved) void link.resolved(presence);
      },
      (owner) => owner === resolve1?.bus.uniqueName,
    ),
  );
  const woke = (): void => {
    live.resolver.forgive();
    daemon.recheck('the machine woke up');
  };
  if (bus !== undefined) held.defer(onResume(bus, woke));
  held.defer(async () => {
    process.off('SIGHUP', hangUp);
    stopSignals();
    await Promise.all(watches.map((watch) => watch.close()));
  });
}

/** Others need the machine's memory more than remembered names do. */
function relieve({ cache }: LiveResolver, log: Log): void {
  const before = cache.statistics().entries;
  cache.relieve();
  sweep();
  const { entries } = cache.statistics();
  if (entries < before)
    log.info({ before, entries }, 'Memory is short: fewer names are remembered for a while.');
}

/** Tell the service manager: ready once the first file is written, what we do, that we live, that we end. */
function announce({ notifier, held }: Ground, daemon: Daemon, stop: AbortSignal): void {
  held.defer(notifier.watchdog(systemClock));
  held.defer(daemon.onStatus((status) => notifier.status(status.link.reason)));
  stop.addEventListener('abort', () => notifier.stopping(), { once: true });
  void daemon.ready.then(() => notifier.ready());
  // What the start has left behind would stay for as long as nothing happens.
  held.defer(systemClock.after(SWEEP_AFTER_START_MS, sweep));
}

/** SIGTERM and SIGINT as a signal and a promise; keeps the process alive until it is let go. */
function stopSignal(held: AsyncDisposableStack): {
  readonly signal: AbortSignal;
  readonly happened: Promise<void>;
} {
  const controller = new AbortController();
  const { promise: happened, resolve } = Promise.withResolvers<void>();
  controller.signal.addEventListener('abort', () => resolve(), { once: true });
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1); // a daemon without a bus has nothing else that keeps it
  held.defer(() => clearInterval(keepAlive));
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => controller.abort());
  // They would end us while we start or stop, when there is nothing yet that they could work on.
  for (const name of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(name, () => {});
  return { signal: controller.signal, happened };
}

process.on('unhandledRejection', (reason) => {
  process.stderr.write(`<3>dnskeeperd: a fault of ours: ${messageOf(reason)}; it is restarted by systemd\n`);
  process.exit(EXIT.problem);
});

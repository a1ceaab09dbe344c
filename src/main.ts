import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { DNSKEEPERD, EXIT } from './control/command-table.ts';
import { controlInterface } from './control/service.ts';
import { DnskeeperError, messageOf } from './core/errors.ts';
import { describeProblem } from './core/health.ts';
import { formatRecordedEvent } from './core/recording.ts';
import { renderResolvConf, renderUpstreamConf } from './core/resolv-conf.ts';
import type { Finding } from './core/status.ts';
import { VERSION } from './core/version.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { type EtcResolvConf, etcResolvConf } from './outputs/etc-resolv-conf.ts';
import { resolvConfFile } from './outputs/resolv-conf-file.ts';
import { ConfigFiles, loadConfig } from './sources/config-file.ts';
import { hostSource } from './sources/host.ts';
import { networkManagerSource } from './sources/networkmanager.ts';
import { firstTime, movedClock, replay } from './sources/replay.ts';
import { followResolved } from './sources/resolved-presence.ts';
import { onResume } from './sources/sleep.ts';
import type { Source } from './sources/source.ts';
import type { Bus } from './system/bus.ts';
import { type Clock, systemClock } from './system/clock.ts';
import { parseCommandLine } from './system/command-line.ts';
import { openBus } from './system/dbus-next-bus.ts';
import { openFiles } from './system/files.ts';
import { ifindexOf } from './system/ifindex.ts';
import { selinuxLabels } from './system/labels.ts';
import { type Libc, loadLibc } from './system/libc.ts';
import { takeLock } from './system/lock.ts';
import type { Log } from './system/log.ts';
import { openLog } from './system/log-pino.ts';
import { serviceNotifier } from './system/notify.ts';
import { type Paths, systemPaths, userPaths } from './system/paths.ts';
import { runningWriters } from './system/processes.ts';
import { openRecording } from './system/recording-file.ts';
import { serveVarlink } from './system/varlink.ts';
import { watchFile, watchFolders } from './system/watch.ts';

type Options = Readonly<Record<string, string>>;

/** How long the files of an earlier run stay while the sources have not all spoken. */
const HOLD_FIRST_MS = 2000;

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

async function run(paths: Paths, options: Options): Promise<number> {
  const configuration = await ConfigFiles.open(paths, openFiles(undefined));
  const log = openLog({ level: levelOf(options) ?? configuration.current.config.logLevel });
  const libc = loadLibc((reason) => log.warn({}, reason));
  const labels = selinuxLabels(paths.root, log);
  const files = openFiles(libc, labels.relabel);
  await files.makeFolder(paths.runtime, 0o755);
  const lock = await takeLock(paths.lock, libc);
  const recording = options['record'] === undefined ? undefined : openRecording(options['record'], log);
  const replayed = options['replay'];
  const atSpeed = replayed !== undefined && !('paced' in options);
  const moved = atSpeed ? movedClock(await firstTime(replayed)) : undefined;
  const clock: Clock = moved ?? systemClock;
  const bus = replayed === undefined ? openBus({ log: log.child('bus'), clock }) : undefined;
  const link = etcResolvConf({
    paths,
    files,
    clock,
    log: log.child('link'),
    takeover: () => configuration.current.config.takeover,
    runningWriters: () => (paths.root === '' ? runningWriters('/proc') : Promise.resolve([])),
  });
  const stopped = stopSignal();
  const existed = (await files.look(paths.resolvConf)) !== undefined;
  const daemon = startDaemon(
    {
      sources: bus === undefined ? [] : liveSources(bus, configuration, log),
      files: (written) =>
        resolvConfFile(
          paths,
          files,
          ({ plan, time }) => ({
            resolvConf: renderResolvConf(plan, time),
            upstreamConf: renderUpstreamConf(plan, time),
          }),
          written,
        ),
      link,
      configuration,
      clock,
      log: log.child('daemon'),
      about: { version: VERSION, pid: process.pid, mode: paths.mode, root: paths.root },
      findings: () => adapterFindings(labels.problem, libc),
      residentBytes: () => process.memoryUsage.rss(),
      ...(recording === undefined
        ? {}
        : { onEvent: (event) => recording.append(formatRecordedEvent(event, clock.now())) }),
    },
    existed && bus !== undefined ? HOLD_FIRST_MS : 0,
  );
  const open = [
    await serve(paths, daemon, libc, log),
    watchOutside(paths, daemon, link, bus, options, log),
    announce(daemon, libc, log, stopped.signal),
  ];
  const reload = (): void => void daemon.reloadFor('SIGHUP').then(() => setLevel());
  const setLevel = (): void => log.setLevel(levelOf(options) ?? configuration.current.config.logLevel);
  process.on('SIGHUP', reload);
  try {
    if (replayed !== undefined) {
      const time =
        moved === undefined
          ? ({ kind: 'paced', clock } as const)
          : ({ kind: 'moved', clock: moved } as const);
      const count = await replay(replayed, daemon, time, stopped.signal);
      log.info({ events: count }, 'The recording was replayed.');
    }
    if ('once' in options) await settled(daemon, stopped.signal);
    else await stopped.happened;
  } finally {
    stopped.dispose();
    process.off('SIGHUP', reload);
    for (const close of open.reverse()) await close();
    await daemon.close();
    await bus?.close();
    recording?.close();
    lock.release();
  }
  return 'once' in options && !daemon.status().healthy ? EXIT.problem : EXIT.done;
}

function levelOf(options: Options): 'error' | 'warn' | 'info' | 'debug' | undefined {
  return options['log-level'] as 'error' | 'warn' | 'info' | 'debug' | undefined;
}

function liveSources(bus: Bus, configuration: ConfigFiles, log: Log): readonly Source[] {
  const networkmanager = networkManagerSource(bus, {
    ifindexOf,
    log: log.child('networkmanager'),
    clock: systemClock,
  });
  return configuration.current.config.networkmanager ? [hostSource(), networkmanager] : [hostSource()];
}

function adapterFindings(labelProblem: string | undefined, libc: Libc | undefined): readonly Finding[] {
  const findings: Finding[] = [];
  if (labelProblem !== undefined)
    findings.push({ severity: 'warning', id: 'selinux-label', text: labelProblem });
  if (libc === undefined) {
    const text =
      'The native library koffi is missing: no kernel lock, no immutable check, and dnsctl cannot change anything.';
    findings.push({ severity: 'warning', id: 'no-koffi', text, mend: 'reinstall dnskeeper' });
  }
  return findings;
}

type Close = () => Promise<void>;

async function serve(paths: Paths, daemon: Daemon, libc: Libc | undefined, log: Log): Promise<Close> {
  const server = await serveVarlink({
    path: paths.socket,
    interfaces: [controlInterface({ control: daemon, ownUid: userInfo().uid, log: log.child('control') })],
    info: { vendor: 'dnskeeper', product: 'dnskeeperd', version: VERSION, url: 'man:dnsctl(1)' },
    log: log.child('varlink'),
    peerOf: (fd) => libc?.peerCredentials(fd),
  });
  return () => server.close();
}

/** Everything outside that makes us look again: the file itself, the configuration, systemd-resolved, waking up. */
function watchOutside(
  paths: Paths,
  daemon: Daemon,
  link: EtcResolvConf,
  bus: Bus | undefined,
  options: Options,
  log: Log,
): Close {
  const look = (why: string) => (): void => void link.check(why);
  const watches = [
    watchFile(paths.etcResolvConf, look('/etc/resolv.conf changed'), log),
    watchFile(paths.resolvConf, () => daemon.recheck('the published file changed'), log),
    watchFolders(
      [dirname(paths.configFile), paths.localConfigFolder, paths.vendorConfigFolder],
      () => void daemon.reloadFor('the configuration changed'),
      log,
    ),
  ];
  const letGo = [
    followResolved(bus, paths.root, 'replay' in options, (presence) => void link.resolved(presence)),
    bus === undefined ? () => {} : onResume(bus, () => daemon.recheck('the machine woke up')),
  ];
  return async () => {
    for (const stop of letGo) stop();
    await Promise.all(watches.map((watch) => watch.close()));
  };
}

/** Tell the service manager: ready once the first file is written, and that we live. */
function announce(daemon: Daemon, libc: Libc | undefined, log: Log, stop: AbortSignal): Close {
  const notifier = serviceNotifier(process.env, libc, log);
  const endWatchdog = notifier.watchdog(systemClock);
  const endStatus = daemon.onStatus((status) => notifier.status(status.link.reason));
  daemon.ready.then(
    () => notifier.ready(),
    () => {},
  );
  stop.addEventListener('abort', () => notifier.stopping(), { once: true });
  return async () => {
    endWatchdog();
    endStatus();
  };
}

/** For --once: every source has spoken, and what they said is applied. */
async function settled(daemon: Daemon, stop: AbortSignal): Promise<void> {
  await Promise.race([
    daemon.spoken,
    new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true })),
  ]);
  await daemon.idle();
}

/** SIGTERM and SIGINT as a signal and a promise; keeps the process alive until disposed. */
function stopSignal(): {
  readonly signal: AbortSignal;
  readonly happened: Promise<void>;
  dispose(): void;
} {
  const controller = new AbortController();
  const happened = new Promise<void>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1); // a daemon without sources has nothing else that keeps it
  const stop = (): void => controller.abort();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, stop);
  return { signal: controller.signal, happened, dispose: () => clearInterval(keepAlive) };
}

process.on('unhandledRejection', (reason) => {
  process.stderr.write(`<3>dnskeeperd: a fault of ours: ${messageOf(reason)}; it is restarted by systemd\n`);
  process.exit(EXIT.problem);
});

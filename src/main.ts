import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { DNSKEEPERD, EXIT } from './control/command-table.ts';
import { recordsInterface } from './control/records.ts';
import { controlInterface } from './control/service.ts';
import { DnskeeperError, messageOf } from './core/errors.ts';
import { describeProblem } from './core/health.ts';
import type { Daemon } from './daemon/parts.ts';
import { loadConfig } from './sources/config-file.ts';
import { isRestarting } from './sources/own-job.ts';
import { replay } from './sources/replay.ts';
import { systemClock } from './system/clock.ts';
import { parseCommandLine } from './system/command-line.ts';
import { openFiles } from './system/files.ts';
import { NO_STORE } from './system/listen-fds.ts';
import { type Paths, systemPaths, userPaths } from './system/paths.ts';
import { print, tell } from './system/standard-output.ts';
import { sweep } from './system/sweep.ts';
import { serveVarlink } from './system/varlink.ts';
import { startOn } from './wiring/daemon.ts';
import { type Ground, type Options, prepare } from './wiring/ground.ts';
import { runHooksAfterChanges } from './wiring/hooks.ts';
import { runLibcHooksAfterChanges } from './wiring/libc-hooks.ts';
import { followOutside } from './wiring/outside.ts';
import { serviceInfo, standInForResolved } from './wiring/standin.ts';

/** By then a start has come to rest; it leaves 4 MB behind. */
const SWEEP_AFTER_START_MS = 5000;

/** How long --once waits for the link to be decided. */
const LINK_DECIDED_MS = 6000;

process.exitCode = await main(process.argv.slice(2));

/** Run the daemon until it is told to stop; returns its exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const command = parseCommandLine(DNSKEEPERD, argv);
  if (command.kind === 'print') return say(command.text);
  if (command.kind === 'wrong') return complain(command.text, EXIT.usage);
  try {
    const paths = choosePaths(command.options);
    return 'check' in command.options ? await check(paths) : await run(paths, command.options);
  } catch (error) {
    if (!(error instanceof DnskeeperError)) throw error;
    return complain(`dnskeeperd: ${error.message}\n`, error.code === 'USAGE' ? EXIT.usage : EXIT.problem);
  }
}

function say(text: string): number {
  print('dnskeeperd', text);
  return EXIT.done;
}

function complain(text: string, code: number): number {
  tell(text);
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
  const { config: configFile } = options;
  if (configFile === undefined) return paths;
  // A file of ours may be missing, one that somebody names is meant.
  if (existsSync(configFile)) return { ...paths, configFile };
  throw new DnskeeperError('USAGE', `--config wants a file, got nothing at ${configFile}.`);
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
  const { files, problems, remarks } = await loadConfig(paths, openFiles(undefined));
  for (const problem of problems) tell(`${describeProblem(problem)}\n`);
  for (const { text } of remarks) tell(`${text}\n`);
  if (problems.length > 0 || remarks.some(({ severity }) => severity !== 'note')) return EXIT.problem;
  return say(`The configuration is good (${files.length} file(s) read).\n`);
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
  runHooksAfterChanges(ground, daemon);
  runLibcHooksAfterChanges(ground, daemon);
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

async function serve({ paths, records, libc, log, held }: Ground, daemon: Daemon): Promise<void> {
  const server = await serveVarlink({
    path: paths.socket,
    interfaces: [
      controlInterface({ control: daemon, ownUid: userInfo().uid, log: log.child('control') }),
      recordsInterface(async () => {
        records.look('resolvconf(8) was called');
        await daemon.settled();
      }),
    ],
    info: serviceInfo(),
    log: log.child('varlink'),
    peerOf: (fd) => libc?.peerCredentials(fd),
  });
  held.defer(() => server.close());
}

/** Tell the service manager: ready once the first file is written, what we do, that we live, that we end. */
function announce({ notifier, libc, held }: Ground, daemon: Daemon, stop: AbortSignal): void {
  held.defer(notifier.watchdog(systemClock));
  held.defer(daemon.onStatus((status) => notifier.status(status.link.reason)));
  stop.addEventListener('abort', () => notifier.stopping(), { once: true });
  void daemon.ready.then(() => notifier.ready());
  // What the start has left behind would stay for as long as nothing happens.
  held.defer(systemClock.after(SWEEP_AFTER_START_MS, () => sweep(libc)));
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

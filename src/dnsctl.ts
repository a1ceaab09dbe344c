#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { lstat, readlink, stat } from 'node:fs/promises';
import { controlClient } from './control/client.ts';
import type { CommandContext } from './control/command-context.ts';
import { DNSCTL, EXIT } from './control/command-table.ts';
import { COMMANDS } from './control/commands.ts';
import type { AbsentFacts } from './control/format-absent.ts';
import { DnskeeperError, messageOf } from './core/errors.ts';
import { printable } from './core/text.ts';
import { type ParsedCommand, parseCommandLine } from './system/command-line.ts';
import type { Files } from './system/files.ts';
import { silentLog } from './system/log.ts';
import { type Paths, systemPaths, userPaths } from './system/paths.ts';
import { openScreen } from './system/screen.ts';
import { endWithReader, tell } from './system/standard-output.ts';
import { terminalOf } from './system/terminal.ts';

/** The daemon takes no larger file either. */
const MOST_TRIED_BYTES = 256 * 1024;

process.exitCode = await main();

async function main(): Promise<number> {
  const terminal = terminalOf(process.stdout, process.env);
  const parsed = parseCommandLine(DNSCTL, process.argv.slice(2), Math.min(terminal.columns, 100));
  endWithReader('dnsctl');
  if (parsed.kind === 'print') process.stdout.write(parsed.text);
  if (parsed.kind === 'wrong') tell(parsed.text);
  if (parsed.kind !== 'run') return parsed.kind === 'wrong' ? EXIT.usage : EXIT.done;
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort());
  try {
    return (await COMMANDS[parsed.command]?.(contextOf(parsed, terminal, stop.signal))) ?? EXIT.usage;
  } catch (error) {
    if (stop.signal.aborted) return EXIT.done;
    tell(`dnsctl: ${printable(messageOf(error), 600)}\n`);
    return exitOf(error);
  }
}

function exitOf(error: unknown): number {
  if (!(error instanceof DnskeeperError)) return EXIT.problem;
  if (error.code === 'USAGE') return EXIT.usage;
  return error.code === 'NOT_RUNNING' ? EXIT.notRunning : EXIT.problem;
}

function contextOf(
  parsed: ParsedCommand & { readonly kind: 'run' },
  terminal: CommandContext['terminal'],
  signal: AbortSignal,
): CommandContext {
  const paths = pathsOf(parsed.options);
  return {
    client: controlClient(paths.socket, signal),
    terminal,
    arguments: parsed.arguments,
    options: parsed.options,
    print: (text) => void process.stdout.write(text),
    now: () => Date.now(),
    async readText(path) {
      const { openFiles } = await import('./system/files.ts');
      const bytes = await openFiles(undefined).read(path, MOST_TRIED_BYTES);
      if (bytes !== undefined) return bytes.toString('utf8');
      throw new DnskeeperError('IO', `wanted a file at ${path}, got nothing there`);
    },
    async confirm(question, forMs) {
      const { askForKey } = await import('./system/ask.ts');
      const { systemClock } = await import('./system/clock.ts');
      return askForKey(process.stdin, process.stdout, systemClock, question, forMs);
    },
    async replaceFile(path, text) {
      const { openFiles } = await import('./system/files.ts');
      await openFiles(undefined).replace(path, Buffer.from(text));
    },
    // A dumb terminal cannot be drawn on (terminfo(5)): it gets lines, as a pipe does.
    openScreen: (events) =>
      process.env['TERM'] === 'dumb' ? undefined : openScreen(process.stdin, process.stdout, events),
    lookAtFile: () => lookAtFile(paths.etcResolvConf),
    async lookAtMachine(daemon, probe, report) {
      const { lookAtMachine } = await import('./system/machine-facts.ts');
      const resolver = report?.resolver;
      return lookAtMachine({ paths, daemon, probe, signal, ...(resolver === undefined ? {} : { resolver }) });
    },
    async release(byDaemon) {
      if (process.geteuid?.() !== 0) return byDaemon();
      const { giveToOwner, ownerOfOriginal } = await import('./outputs/original.ts');
      const files = await filesOf(paths);
      const owner = await ownerOfOriginal(paths, files);
      const outcome = await byDaemon();
      const given = outcome.ok && owner !== undefined && (await giveToOwner(paths, files, owner));
      return given ? { ...outcome, text: `${outcome.text}; now it is theirs again` } : outcome;
    },
    async releaseWithoutDaemon() {
      const { releaseWithoutDaemon } = await import('./outputs/original.ts');
      return releaseWithoutDaemon(paths, await filesOf(paths));
    },
  };
}

async function filesOf({ root }: Paths): Promise<Files> {
  const { openFiles } = await import('./system/files.ts');
  const { selinuxLabels } = await import('./system/labels.ts');
  return openFiles(undefined, selinuxLabels(root, silentLog).relabel);
}

/** The system daemon, unless another one is named, or only the user's own is there. */
function pathsOf(options: Readonly<Record<string, string>>): Paths {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const root = options['root'];
  if ('user' in options) {
    if (root !== undefined) throw new DnskeeperError('USAGE', '--user and --root exclude each other');
    if (runtime) return userPaths(runtime);
    throw new DnskeeperError('USAGE', 'wanted the daemon of this user, but XDG_RUNTIME_DIR is not set');
  }
  const system = systemPaths(root === undefined || root === '/' ? '' : root);
  if (root !== undefined || process.geteuid?.() === 0 || !runtime || existsSync(system.socket)) return system;
  const user = userPaths(runtime);
  return existsSync(user.socket) ? user : system;
}

async function lookAtFile(path: string): Promise<AbsentFacts> {
  const there = await lstat(path).catch(() => undefined);
  const linkText = there?.isSymbolicLink() ? await readlink(path) : undefined;
  // Only a file: reading a pipe would never end.
  const isFile = (await stat(path).catch(() => undefined))?.isFile() === true;
  const { openFiles } = await import('./system/files.ts');
  const bytes = isFile
    ? await openFiles(undefined)
        .read(path, 1 << 20)
        .catch(() => undefined)
    : undefined;
  const content = bytes?.toString('latin1');
  return {
    path,
    ...(linkText === undefined ? {} : { linkText }),
    ...(content === undefined ? {} : { content }),
  };
}

import { spawn } from 'node:child_process';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import { ascii } from '../core/text.ts';

/** A program that runs beside us for as long as it is needed. */
export interface Child {
  /** Why it ended, one clause; it resolves when it has. */
  readonly ended: Promise<string>;
  /** End it: with SIGTERM, and with SIGKILL when it does not go. Resolves when it is gone. */
  end(): Promise<void>;
}

/** So much of a line that it says is kept. */
const MOST_SAID = 300;

const LAST_WORDS_MS = 100;

/** How long a program may take to end by itself. */
const TERM_MS = 1000;

/**
 * Start a program; `hear` is given each line that it says. Rejects with a DnskeeperError `IO` when it cannot be started. It is to
 * be ended by `end`; when we are killed, systemd ends all that is left in the service's control group before it starts us anew.
 */
export async function startChild(
  program: string,
  args: readonly string[],
  hear: (line: string) => void = () => {},
): Promise<Child> {
  const child = spawn(program, args, {
    cwd: '/',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let last = '';
  /** The first complaint says more than what follows from it. */
  let complaint: string | undefined;
  for (const stream of [child.stdout, child.stderr])
    byLine(stream, (line) => {
      last = line;
      if (/\berror\b/i.test(line)) complaint ??= line;
      hear(line);
    });
  const ended = new Promise<string>((resolve) => {
    const tell = (): void => {
      const { exitCode, signalCode } = child;
      const said = complaint ?? (signalCode === null ? last : '');
      const words = said === '' ? '' : `: ${said}`;
      resolve(`${program} ended with ${exitCode ?? signalCode}${words}`);
    };
    child.once('close', tell);
    // What it said last may still be on its way; what it has left behind may hold the pipe for ever.
    child.once('exit', () => void setTimeout(tell, LAST_WORDS_MS));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => {
      const code = systemCodeOf(error);
      const why =
        code === 'ENOENT'
          ? `there is no program ${program}`
          : `${program} cannot be run: ${code ?? messageOf(error)}`;
      reject(new DnskeeperError('IO', why, error));
    });
  });
  return {
    ended,
    async end() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), TERM_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Lines of at most so many characters; the rest of a longer one is left out. */
function byLine(stream: NodeJS.ReadableStream, hear: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = (lines.pop() ?? '').slice(0, MOST_SAID);
    for (const line of lines) if (line.trim() !== '') hear(ascii(line.trim(), MOST_SAID));
  });
  stream.on('end', () => {
    if (rest.trim() !== '') hear(ascii(rest.trim(), MOST_SAID));
  });
  stream.on('error', () => {}); // it ends with the program
}

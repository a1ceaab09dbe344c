import { connect, type Socket } from 'node:net';
import { messageOf, systemCodeOf } from '../core/errors.ts';
import { formatHookCall, type HookResult, MOST_HOOKS, parseHookResults } from '../core/hook-call.ts';
import { type HookRun, hookNames, runHooks } from './hooks.ts';

/**
 * Run the programs of a folder where the confinement of dnskeeper.service does not hold: for each connection to `socket`
 * (dnskeeper-hooks.socket) systemd starts hooks-program.ts. Where nobody listens, as without systemd, they are run from
 * here. Never rejects.
 */
export async function runHooksOutside(run: HookRun, socket: string): Promise<readonly HookResult[]> {
  if ((await hookNames(run.folder)).length === 0) return []; // no process is started for nothing
  try {
    return await ask(await connected(socket), run);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return runHooks(run);
    return [{ name: '', problem: `nobody runs it: ${code ?? messageOf(error)}` }];
  }
}

function connected(path: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(path, () => resolve(socket)).once('error', reject);
  return promise;
}

/** Early at boot systemd starts the program only when the machine is ready for it. */
const SPARE_MS = 120_000;

const MOST_ANSWER_BYTES = 64 * 1024;

/** The other side kills what it runs when we hang up. */
function ask(
  socket: Socket,
  { folder, stdin, environment, deadlineMs, signal }: HookRun,
): Promise<readonly HookResult[]> {
  const { promise, resolve } = Promise.withResolvers<readonly HookResult[]>();
  const failed = (problem: string): void => resolve([{ name: '', problem }]);
  const mostMs = MOST_HOOKS * deadlineMs + SPARE_MS;
  const timer = setTimeout(() => failed(`no answer came within ${mostMs / 1000} s`), mostMs);
  const abort = (): void => failed('dnskeeperd ended before it did');
  signal.addEventListener('abort', abort, { once: true });
  let text = '';
  socket.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (text.length > MOST_ANSWER_BYTES) failed(`the answer has more than ${MOST_ANSWER_BYTES} bytes`);
  });
  socket.on('error', (error) => failed(`the answer did not come: ${systemCodeOf(error) ?? error.message}`));
  socket.on('end', () => {
    const results = parseHookResults(text);
    if (results === undefined) failed('the program that runs them ended without an answer; see journalctl');
    else resolve(results);
  });
  if (signal.aborted) abort();
  else socket.write(formatHookCall({ folder, stdin, environment, deadlineMs }));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    socket.destroy();
  });
}

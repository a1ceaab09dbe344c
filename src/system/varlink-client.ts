import { connect, type Socket } from 'node:net';
import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import { frameOf, frameReader, isObject, VarlinkError, type VarlinkParameters } from './varlink-frames.ts';

/** How a call is bounded. */
export interface CallBounds {
  /** For a single call: until its reply. For a stream: until its first reply. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** Replies may carry a whole status; what is larger than this is not from our daemon. */
const REPLY_BYTES = 64 << 20;

/** Call a method once. Rejects with VarlinkError when the peer says so, DnskeeperError for everything else. */
export async function callVarlink(
  path: string,
  method: string,
  parameters: VarlinkParameters,
  bounds: CallBounds,
): Promise<VarlinkParameters> {
  for await (const reply of replies(path, { method, parameters }, bounds)) return reply;
  throw new DnskeeperError('PROTOCOL', `the daemon hung up on ${path} before it answered ${method}`);
}

/** Call a method with `more`: every reply, until the caller stops, the signal aborts or the peer hangs up. */
export async function* streamVarlink(
  path: string,
  method: string,
  parameters: VarlinkParameters,
  bounds: CallBounds,
): AsyncGenerator<VarlinkParameters, void> {
  yield* replies(path, { method, parameters, more: true }, bounds);
}

async function* replies(
  path: string,
  call: { readonly method: string; readonly parameters: VarlinkParameters; readonly more?: true },
  { deadlineMs, signal }: CallBounds,
): AsyncGenerator<VarlinkParameters, void> {
  const socket = connect(path);
  const stop = (): void => void socket.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    socket.destroy();
  }, deadlineMs);
  socket.write(frameOf(call));
  try {
    for await (const text of frames(socket)) {
      clearTimeout(timer);
      const { parameters, continues } = replyOf(text, call.method);
      yield parameters;
      if (!continues) return;
    }
  } catch (error) {
    if (late) throw lateError(path, call.method, deadlineMs);
    if (!signal?.aborted) throw connectionError(path, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    socket.destroy();
  }
  if (late) throw lateError(path, call.method, deadlineMs);
}

async function* frames(socket: Socket): AsyncGenerator<string, void> {
  const reader = frameReader(REPLY_BYTES);
  for await (const chunk of socket) yield* reader.push(chunk as Buffer);
}

function replyOf(text: string, method: string): { parameters: VarlinkParameters; continues: boolean } {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch (error) {
    throw new DnskeeperError('PROTOCOL', `the reply to ${method} is no JSON`, error);
  }
  const { error, parameters = {}, continues } = isObject(message) ? message : {};
  if (!isObject(message) || !isObject(parameters)) {
    throw new DnskeeperError('PROTOCOL', `the reply to ${method} is no varlink reply`);
  }
  if (typeof error === 'string') throw new VarlinkError(error, parameters);
  return { parameters, continues: continues === true };
}

const lateError = (path: string, method: string, deadlineMs: number): DnskeeperError =>
  new DnskeeperError('DEADLINE', `no answer to ${method} on ${path} within ${deadlineMs} ms`);

function connectionError(path: string, error: unknown): unknown {
  if (error instanceof VarlinkError || error instanceof DnskeeperError) return error;
  const code = systemCodeOf(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new DnskeeperError(
      'NOT_RUNNING',
      `no daemon answers on ${path}; start it: ${startCommand(path)}`,
      error,
    );
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new DnskeeperError('PERMISSION', `this user may not connect to ${path}`, error);
  }
  return new DnskeeperError('PROTOCOL', `the connection to ${path} broke: ${messageOf(error)}`, error);
}

const SYSTEM_SOCKET = '/run/dnskeeper/io.dnskeeper';

/** How the daemon of a socket is started: that of the machine, one below a root folder, or a user's. */
function startCommand(path: string): string {
  if (path === SYSTEM_SOCKET) return 'systemctl start dnskeeper';
  return path.endsWith(SYSTEM_SOCKET)
    ? `dnskeeperd --root ${path.slice(0, -SYSTEM_SOCKET.length)}`
    : 'dnskeeperd --user';
}

import { messageOf } from '../core/errors.ts';
import type { ReceivedCall, SentReply } from './bus-connection.ts';
import { BusError, type CallHandler, type MethodReply } from './bus-service.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/** How long an answer may take: what callers of systemd-resolved wait for a name. */
const LONGEST_ANSWER_MS = 120_000;
/** Calls in progress, of everybody and of one caller; a caller that sends more gets LimitsExceeded. */
const MOST_CALLS = 8192;
const MOST_CALLS_OF_ONE = 2048;
/** The system bus cuts off who sends more than 32 MiB in one message. */
const MOST_REPLY_BYTES = 16 << 20;
const MOST_ERROR_TEXT = 1000;

const ERROR = 'org.freedesktop.DBus.Error';

/** The calls that reached us and have no answer yet. */
export class IncomingCalls {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #inProgress = new Map<string, Set<AbortController>>();
  #count = 0;
  #handler: CallHandler | undefined;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  serve(handler: CallHandler): () => void {
    this.#handler = handler;
    return () => {
      if (this.#handler === handler) this.#handler = undefined;
    };
  }

  /** Whether anybody's leaving the bus is of interest. */
  get serving(): boolean {
    return this.#handler !== undefined;
  }

  /** Answer one call by `reply`, which is called once at most and must not throw. */
  answer(call: ReceivedCall, reply: (sent: SentReply) => void): void {
    const handler = this.#handler;
    if (handler === undefined) {
      reply(failure(`${ERROR}.UnknownMethod`, 'dnskeeper offers no methods on this connection'));
      return;
    }
    const ofCaller = this.#inProgress.get(call.sender);
    if (this.#count >= MOST_CALLS || (ofCaller?.size ?? 0) >= MOST_CALLS_OF_ONE) {
      reply(failure(`${ERROR}.LimitsExceeded`, 'Too many calls wait for their answers.'));
      return;
    }
    const controller = this.#begin(call.sender);
    const cancelDeadline = this.#clock.after(LONGEST_ANSWER_MS, () =>
      controller.abort(new BusError(`${ERROR}.Timeout`, 'The answer took too long.')),
    );
    void runHandler(handler, call, controller.signal, this.#log).then((sent) => {
      cancelDeadline();
      this.#end(call.sender, controller);
      reply(sent);
    });
  }

  /** A caller has left the bus. */
  callerGone(sender: string): void {
    for (const controller of this.#inProgress.get(sender) ?? []) controller.abort(goneError());
  }

  /** The connection is gone and every caller with it. */
  lost(): void {
    for (const sender of [...this.#inProgress.keys()]) this.callerGone(sender);
  }

  #begin(sender: string): AbortController {
    const controller = new AbortController();
    const ofCaller = this.#inProgress.get(sender) ?? new Set();
    this.#inProgress.set(sender, ofCaller.add(controller));
    this.#count++;
    return controller;
  }

  #end(sender: string, controller: AbortController): void {
    const ofCaller = this.#inProgress.get(sender);
    ofCaller?.delete(controller);
    if (ofCaller?.size === 0) this.#inProgress.delete(sender);
    this.#count--;
  }
}

/** Never rejects: a failure is a reply. Nobody waits for a handler that does not heed its signal. */
async function runHandler(
  handler: CallHandler,
  call: ReceivedCall,
  signal: AbortSignal,
  log: Log,
): Promise<SentReply> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    const reply = await Promise.race([handler({ ...call, signal }), aborted.promise]);
    return bounded(reply);
  } catch (error) {
    if (error instanceof BusError) return failure(error.errorName, error.message);
    log.error(
      { interface: call.interface, member: call.member, error: messageOf(error) },
      'answering a bus call failed',
    );
    return failure(`${ERROR}.Failed`, 'dnskeeper could not answer this call; its log says why.');
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function bounded(reply: MethodReply): SentReply {
  if (bytesOf(reply.body) <= MOST_REPLY_BYTES) return { ok: true, ...reply };
  return failure(`${ERROR}.LimitsExceeded`, 'The answer is too large for the message bus.');
}

/** No less than what a body takes on the wire: eight bytes for each value and its padding, and the text itself. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return 13 + Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 16;
  if (value instanceof Uint8Array) return 16 + value.length;
  return Object.entries(value).reduce((sum, [key, item]) => sum + key.length + 16 + bytesOf(item), 16);
}

const failure = (errorName: string, text: string): SentReply => ({
  ok: false,
  errorName,
  text: text.replaceAll('\0', '').toWellFormed().slice(0, MOST_ERROR_TEXT).toWellFormed(),
});

const goneError = (): BusError => new BusError(`${ERROR}.NoReply`, 'The caller has left the message bus.');

import type { Duplex } from 'node:stream';
import createConnection from 'dbus-next/lib/connection.js';
import RawBuffer from 'dbus-next/lib/dbus-buffer.js';
import marshalling from 'dbus-next/lib/marshall-compat.js';
import messageType, { type Message } from 'dbus-next/lib/message-type.js';
import variantType from 'dbus-next/lib/variant.js';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { BusCall, BusSignal } from './bus.ts';
import type { BusConnection, ConnectionEvents, ReceivedCall, Reply, SentReply } from './bus-connection.ts';
import type { OutgoingSignal, ServiceBus } from './bus-service.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { BUS_NAME } from './match-rules.ts';
import { isObjectPath, toWire, unwrap } from './message-body.ts';
import { reconnectingBus } from './reconnecting-bus.ts';
import { sparingLog } from './sparing-log.ts';

/** Where a bus is found and what it runs on; without an address it is the system bus. */
export interface BusOptions {
  readonly address?: string;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Open a bus that comes back by itself, over dbus-next.
 *
 * Only dbus-next's stream, handshake and marshalling are used, not its MessageBus: that one keeps owners of names
 * for ever and then drops calls to us, never removes a match rule, leaves calls hanging when the stream ends,
 * throws an unhandled rejection when Hello is refused, and hands stack traces to callers.
 */
export function openBus(options: BusOptions): ServiceBus {
  const { clock } = options;
  // Whoever is on the bus may send us what cannot be read.
  const log = sparingLog(options.log, clock);
  const address = options.address ?? systemBusAddress();
  return reconnectingBus({ connect: (events) => connect(address, events, log), log, clock });
}

const { Message: RawMessage } = messageType;
const { messageToJsFmt } = marshalling;
const { Variant: RawVariant } = variantType;

const METHOD_CALL = 1;
const METHOD_RETURN = 2;
const ERROR = 3;
const SIGNAL = 4;
const NO_REPLY_EXPECTED = 1;
/** Asking must never start a service: whether one runs is for the administrator to say. */
const NO_AUTO_START = 2;
const ALLOW_INTERACTIVE_AUTHORIZATION = 4;
/** A bus that takes nothing from us any more is as good as gone. */
const MOST_UNSENT_BYTES = 64 << 20;
/** The largest call that makes sense, 2048 names, has 0.5 MiB; reading more would keep us from everything else. */
const MOST_CALL_BYTES = 600 * 1024;

/** The specification's default path; libraries and dbus-daemon honour the variable likewise. */
const systemBusAddress = (): string =>
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] || 'unix:path=/run/dbus/system_bus_socket';

interface Waiting {
  readonly destination: string;
  readonly settle: (reply: Reply) => void;
}

function connect(address: string, events: ConnectionEvents, log: Log): BusConnection {
  try {
    return new DbusNextConnection(
      createConnection({ busAddress: address, authMethods: ['EXTERNAL'] }),
      events,
      log,
    );
  } catch (error) {
    // Told later on: a connection is returned before its first event.
    setImmediate(() => events.closed(`the address '${address}' cannot be used: ${messageOf(error)}`));
    const none = (): never => refuse('it has no address');
    return { call: none, emit: none, close: () => {} };
  }
}

const refuse = (reason: string): never => {
  throw new DnskeeperError('BUS', `The message bus is not connected (${reason}).`);
};

class DbusNextConnection implements BusConnection {
  readonly #raw: ReturnType<typeof createConnection>;
  readonly #events: ConnectionEvents;
  readonly #log: Log;
  readonly #waiting = new Map<number, Waiting>();
  #serial = 1;
  #greeted = false;
  #closed: string | undefined;

  constructor(raw: ReturnType<typeof createConnection>, events: ConnectionEvents, log: Log) {
    this.#raw = raw;
    this.#events = events;
    this.#log = log;
    raw.on('error', (error: unknown) => this.#onError(error));
    raw.once('connect', () =>
      process.nextTick(readMessages, raw.stream, (bytes: Buffer) => this.#onBytes(bytes)),
    );
    raw.stream.once('close', () => {
      this.#waiting.clear();
      this.#closed ??= 'the bus closed the connection';
      events.closed(this.#closed);
    });
    this.call(GREETING, (reply) => this.#onGreeting(reply));
  }

  call(call: BusCall, settle: (reply: Reply) => void): () => void {
    const serial = this.#serial++;
    this.#send(callMessage(call, serial));
    this.#waiting.set(serial, { destination: call.destination, settle });
    return () => this.#waiting.delete(serial);
  }

  emit(signal: OutgoingSignal): void {
    this.#send(signalMessage(signal, this.#serial++));
  }

  close(reason: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#waiting.clear();
    this.#raw.stream.destroy();
  }

  #send(message: Message): void {
    if (this.#closed !== undefined || !this.#raw.stream.writable) refuse(this.#closed ?? 'it is closing');
    this.#raw.message(message);
    if (this.#raw.stream.writableLength > MOST_UNSENT_BYTES) this.close('the bus does not take what we send');
  }

  #onGreeting(reply: Reply): void {
    this.#greeted = reply.ok;
    if (reply.ok) this.#events.ready(String(reply.body[0]));
    else this.close(`the bus refused us: ${reply.error.message}`);
  }

  #onCall(message: Message): void {
    this.#events.called(callOf(message), (sent) => this.#reply(message, sent));
  }

  #reply(message: Message, sent: SentReply): void {
    if (this.#closed !== undefined || (message.flags & NO_REPLY_EXPECTED) !== 0) return;
    try {
      this.#send(replyMessage(message, sent, this.#serial++));
    } catch (error) {
      this.#log.error({ member: message.member, error: messageOf(error) }, 'a bus reply could not be sent');
      if (this.#closed === undefined && this.#raw.stream.writable)
        this.#raw.message(replyMessage(message, UNFIT, this.#serial++));
    }
  }

  #onBytes(bytes: Buffer): void {
    if (this.#closed !== undefined) return;
    try {
      const arrived = readHeader(bytes);
      if (arrived.header.type === METHOD_CALL) this.#onCallBytes(arrived);
      else this.#onMessage(withBody(arrived));
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'a bus message could not be read');
    }
  }

  /** Anybody may call us, so what is too large is answered before it costs anything to read. */
  #onCallBytes(arrived: Arrived): void {
    const { header, bodyBytes } = arrived;
    if (bodyBytes > MOST_CALL_BYTES) {
      this.#reply(header, TOO_LARGE);
      return;
    }
    try {
      this.#onMessage(withBody(arrived));
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'a bus call could not be read');
      this.#reply(header, UNREADABLE);
    }
  }

  #onMessage(message: Message): void {
    if (message.type === SIGNAL) this.#events.signal(signalOf(message));
    else if (message.type === METHOD_CALL) this.#onCall(message);
    else answer(this.#waiting, message);
  }

  #onError(error: unknown): void {
    // After the greeting this is one unreadable message; before it, nothing else will ever come.
    if (this.#greeted) this.#log.warn({ error: messageOf(error) }, 'a bus message could not be read');
    else this.close(messageOf(error));
  }
}

const GREETING: BusCall = {
  destination: BUS_NAME,
  path: '/org/freedesktop/DBus',
  interface: BUS_NAME,
  member: 'Hello',
};

function callMessage(call: BusCall, serial: number): Message {
  if (!isObjectPath(call.path))
    throw new DnskeeperError('PROTOCOL', `A bus call wants an object path; it got '${call.path}'.`);
  const signature = call.signature ?? '';
  return new RawMessage({
    type: METHOD_CALL,
    serial,
    flags: call.mayStart ? 0 : NO_AUTO_START,
    destination: call.destination,
    path: call.path,
    interface: call.interface,
    member: call.member,
    signature,
    body: wire(signature, call.body ?? []),
  });
}

const signalOf = (message: Message): BusSignal => ({ ...headOf(message), body: bodyOf(message) });

/** From whom, to what, and with which kinds of values. */
const headOf = (message: Message): Omit<BusSignal, 'body'> => ({
  sender: message.sender ?? '',
  path: message.path ?? '',
  interface: message.interface ?? '',
  member: message.member ?? '',
  signature: message.signature,
});

const isVariant = (object: object): boolean => object instanceof RawVariant;

const bodyOf = (message: Message): unknown[] => message.body.map((value) => unwrap(value, isVariant));

function answer(waiting: Map<number, Waiting>, message: Message): void {
  const serial = message.replySerial ?? 0;
  const call = waiting.get(serial);
  if (call === undefined || !mayAnswer(message.sender, call.destination)) return;
  waiting.delete(serial);
  call.settle(message.type === METHOD_RETURN ? { ok: true, body: bodyOf(message) } : failureOf(message));
}

/** A reply to a unique name comes from it, or from the bus when there is nobody behind it. */
const mayAnswer = (sender: string | undefined, destination: string): boolean =>
  sender === undefined ||
  sender === BUS_NAME ||
  sender === destination ||
  (!destination.startsWith(':') && destination !== BUS_NAME);

function failureOf(message: Message): Reply {
  const [text] = bodyOf(message);
  const name = message.errorName ?? 'an error without name';
  const said = typeof text === 'string' ? `${name}: ${text.slice(0, 500)}` : name;
  return { ok: false, error: new DnskeeperError('BUS', `The call was answered with ${said}`, { name }) };
}

const TOO_LARGE: SentReply = {
  ok: false,
  errorName: 'org.freedesktop.DBus.Error.LimitsExceeded',
  text: 'The call is too large.',
};

const UNREADABLE: SentReply = {
  ok: false,
  errorName: 'org.freedesktop.DBus.Error.InvalidArgs',
  text: 'The call cannot be read.',
};

/** What a caller learns of a reply that does not fit its own signature. */
const UNFIT: SentReply = {
  ok: false,
  errorName: 'org.freedesktop.DBus.Error.Failed',
  text: 'dnskeeper made an answer that cannot be sent; its log says why.',
};

function callOf(message: Message): ReceivedCall {
  return {
    ...headOf(message),
    body: message.body.map((value) =>
      value instanceof RawVariant
        ? { signature: value.signature, value: unwrap(value.value, isVariant) }
        : unwrap(value, isVariant),
    ),
    interactive: (message.flags & ALLOW_INTERACTIVE_AUTHORIZATION) !== 0,
  };
}

function replyMessage(call: Message, sent: SentReply, serial: number): Message {
  const to = { serial, destination: call.sender, replySerial: call.serial };
  if (!sent.ok)
    return new RawMessage({
      ...to,
      type: ERROR,
      errorName: sent.errorName,
      signature: 's',
      body: [sent.text],
    });
  const { signature } = sent;
  return new RawMessage({ ...to, type: METHOD_RETURN, signature, body: wire(signature, sent.body) });
}

function signalMessage(signal: OutgoingSignal, serial: number): Message {
  const { signature = '', body = [], destination, ...rest } = signal;
  if (!isObjectPath(signal.path))
    throw new DnskeeperError('PROTOCOL', `A signal wants an object path; it got '${signal.path}'.`);
  return new RawMessage({
    ...rest,
    type: SIGNAL,
    serial,
    flags: NO_REPLY_EXPECTED,
    destination,
    signature,
    body: wire(signature, body),
  });
}

const wire = (signature: string, body: readonly unknown[]): unknown[] =>
  toWire(signature, body, (type, value) => new RawVariant(type, value));

/** What a message says before its body, and how to get at that. */
interface Arrived {
  readonly header: Message;
  readonly bodyBytes: number;
  readonly buffer: InstanceType<typeof RawBuffer>;
}

/** Names of the header fields by number (D-Bus specification, "Header Fields"). */
const FIELDS = [
  '',
  'path',
  'interface',
  'member',
  'errorName',
  'replySerial',
  'destination',
  'sender',
  'signature',
] as const;

function readHeader(bytes: Buffer): Arrived {
  const buffer = new RawBuffer(bytes, 0, bytes[0] ?? 0, null, { ayBuffer: true });
  const [, type, flags, , bodyBytes, serial, rows] = buffer.read('yyyyuua(yv)') as HeaderValues;
  const fields = Object.fromEntries(rows.map(([code, [, [value]]]) => [FIELDS[code] ?? '', value]));
  return { header: new RawMessage({ ...fields, type, flags, serial }), bodyBytes, buffer };
}

/** A variant comes as its parsed signature and a list of one value. */
type HeaderValues = [number, number, number, number, number, number, [number, [unknown, [unknown]]][]];

function withBody({ header, bodyBytes, buffer }: Arrived): Message {
  if (bodyBytes === 0 || header.signature === '') return header;
  buffer.align(3);
  const read = messageToJsFmt({ signature: header.signature, body: buffer.read(header.signature) });
  return Object.assign(header, { body: read.body });
}

/**
 * Cut the stream into messages. dbus-next does it in a 'readable' listener that decodes all of a message at once and
 * throws out of it, which would end the process, at a file descriptor it was never given or at an end of stream inside
 * a message; so ours takes its place.
 */
function readMessages(stream: Duplex, onBytes: (bytes: Buffer) => void): void {
  for (const listener of stream.listeners('readable'))
    stream.removeListener('readable', listener as () => void);
  let start: Buffer | undefined;
  stream.on('readable', () => {
    for (;;) {
      start ??= (stream.read(FIXED_BYTES) as Buffer | null) ?? undefined;
      // At its end a stream gives what is left, however little that is.
      if (start === undefined || start.length < FIXED_BYTES) return;
      const wanted = restBytes(start);
      const rest = stream.read(wanted) as Buffer | null;
      if (rest === null || rest.length < wanted) return;
      const bytes = Buffer.concat([start, rest]);
      start = undefined;
      onBytes(bytes);
    }
  });
}

/** Byte order, type, flags, version, body length, serial, length of the header fields. */
const FIXED_BYTES = 16;

function restBytes(start: Buffer): number {
  const number = (at: number): number =>
    start[0] === LITTLE_ENDIAN ? start.readUInt32LE(at) : start.readUInt32BE(at);
  return Math.ceil(number(12) / 8) * 8 + number(4);
}

const LITTLE_ENDIAN = 0x6c;

import type { Duplex } from 'node:stream';
import createConnection from 'dbus-next/lib/connection.js';
import messageType, { type Message } from 'dbus-next/lib/message-type.js';
import variantType from 'dbus-next/lib/variant.js';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { Bus, BusCall, BusSignal } from './bus.ts';
import type { BusConnection, ConnectionEvents, Reply } from './bus-connection.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { BUS_NAME } from './match-rules.ts';
import { isObjectPath, toWire, unwrap } from './message-body.ts';
import { reconnectingBus } from './reconnecting-bus.ts';

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
export function openBus(options: BusOptions): Bus {
  const { log, clock } = options;
  const address = options.address ?? systemBusAddress();
  return reconnectingBus({ connect: (events) => connect(address, events, log), log, clock });
}

const { Message: RawMessage } = messageType;
const { Variant: RawVariant } = variantType;

const METHOD_CALL = 1;
const METHOD_RETURN = 2;
const ERROR = 3;
const SIGNAL = 4;
const NO_REPLY_EXPECTED = 1;
/** Asking must never start a service: whether one runs is for the administrator to say. */
const NO_AUTO_START = 2;
/** How often in one read a message that cannot be read is stepped over before the connection is given up. */
const UNREADABLE_AT_ONCE = 100;

/** The specification's default path; libraries and dbus-daemon honour the variable likewise. */
const systemBusAddress = (): string =>
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] || 'unix:path=/run/dbus/system_bus_socket';

interface Waiting {
  readonly destination: string;
  readonly settle: (reply: Reply) => void;
}

function connect(address: string, events: ConnectionEvents, log: Log): BusConnection {
  const waiting = new Map<number, Waiting>();
  let serial = 1;
  let closed: string | undefined;
  let raw: ReturnType<typeof createConnection> | undefined;

  const close = (reason: string): void => {
    if (closed !== undefined) return;
    closed = reason;
    waiting.clear();
    raw?.stream.destroy();
    // Told later on: `connect` must have returned before its first event.
    if (raw === undefined) setImmediate(() => events.closed(reason));
  };
  const send = (message: Message): void => {
    if (raw === undefined || closed !== undefined || !raw.stream.writable)
      throw new DnskeeperError('BUS', `The message bus is not connected (${closed ?? 'closing'}).`);
    raw.message(message);
  };
  const call = (wanted: BusCall, settle: (reply: Reply) => void): (() => void) => {
    const number = serial++;
    const message = callMessage(wanted, number);
    waiting.set(number, { destination: wanted.destination, settle });
    try {
      send(message);
    } catch (error) {
      waiting.delete(number);
      throw error;
    }
    return () => waiting.delete(number);
  };
  const receive = (message: Message): void => {
    if (closed !== undefined) return;
    if (message.type === SIGNAL) events.signal(signalOf(message));
    else if (message.type !== METHOD_CALL) answer(waiting, message);
    else if ((message.flags & NO_REPLY_EXPECTED) === 0) send(refusalOf(message, serial++));
  };

  try {
    raw = createConnection({ busAddress: address, authMethods: ['EXTERNAL'] });
  } catch (error) {
    close(`the address '${address}' cannot be used: ${messageOf(error)}`);
    return { call, close };
  }
  const { stream } = raw;
  let greeted = false;
  let failure: string | undefined;
  raw.on('message', (message: Message) => {
    try {
      receive(message);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'a bus message was dropped');
    }
  });
  raw.on('error', (error: unknown) => {
    // After the greeting this is one unreadable message; before it, nothing else will ever come.
    if (greeted) log.warn({ error: messageOf(error) }, 'a bus message could not be read');
    else failure = messageOf(error);
    if (!greeted) stream.destroy();
  });
  raw.once('connect', () => process.nextTick(guardReading, stream, log));
  stream.once('close', () => {
    waiting.clear();
    closed ??= failure ?? 'the bus closed the connection';
    events.closed(closed);
  });
  call(GREETING, (reply) => {
    if (!reply.ok) return close(`the bus refused us: ${reply.error.message}`);
    greeted = true;
    events.ready();
  });
  return { call, close };
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
  const body = toWire(signature, call.body ?? [], (type, value) => new RawVariant(type, value));
  return new RawMessage({
    type: METHOD_CALL,
    serial,
    flags: NO_AUTO_START,
    destination: call.destination,
    path: call.path,
    interface: call.interface,
    member: call.member,
    signature,
    body,
  });
}

function signalOf(message: Message): BusSignal {
  return {
    sender: message.sender ?? '',
    path: message.path ?? '',
    interface: message.interface ?? '',
    member: message.member ?? '',
    signature: message.signature,
    body: bodyOf(message),
  };
}

const bodyOf = (message: Message): unknown[] =>
  message.body.map((value) => unwrap(value, (object) => object instanceof RawVariant));

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

/** Nobody has a method to call here; without an answer the caller would wait for its own deadline. */
function refusalOf(message: Message, serial: number): Message {
  return new RawMessage({
    type: ERROR,
    serial,
    destination: message.sender,
    replySerial: message.serial,
    errorName: 'org.freedesktop.DBus.Error.UnknownMethod',
    signature: 's',
    body: ['dnskeeper offers no methods on this connection'],
  });
}

/**
 * dbus-next reads messages in a 'readable' listener and throws out of it, which would end the process, at a file
 * descriptor it was never given or at an end of stream inside a message. The message is already taken off the
 * stream by then, so reading on steps over it.
 */
function guardReading(stream: Duplex, log: Log): void {
  for (const listener of stream.listeners('readable')) {
    stream.removeListener('readable', listener as () => void);
    stream.on('readable', () => {
      for (let failures = 0; failures < UNREADABLE_AT_ONCE; failures++) {
        try {
          listener.call(stream);
          return;
        } catch (error) {
          log.warn({ error: messageOf(error) }, 'a bus message could not be read');
        }
      }
      stream.destroy();
    });
  }
}

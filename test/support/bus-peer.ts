import { Message, sessionBus, Variant } from 'dbus-next';
import type { BusCall } from '../../src/system/bus.ts';
import { toWire } from '../../src/system/message-body.ts';

/** A call as a peer sees it. */
export type PeerCall = Pick<BusCall, 'path' | 'interface' | 'member'> & {
  readonly sender: string;
  readonly body: readonly unknown[];
};

/** What a peer answers; `silent` means never. */
export type PeerReply =
  | { readonly signature: string; readonly body: readonly unknown[] }
  | { readonly error: string; readonly text: string }
  | 'silent';

/** A signal as a peer sends it; with a destination it goes past all match rules. */
export interface PeerSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly destination?: string;
}

/** Somebody else on the bus, made by the test. */
export interface BusPeer {
  readonly uniqueName: string;
  own(name: string): Promise<void>;
  release(name: string): Promise<void>;
  /** Calls that reached this peer are answered by `handler`; one at a time in the order they came. */
  answer(handler: (call: PeerCall) => PeerReply): void;
  emit(signal: PeerSignal): void;
  /** Call the bus itself. */
  ask(member: string, interfaceName?: string): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

/** A peer on a real bus, which may also send what no library would. */
export interface WirePeer extends BusPeer {
  /** Send a signal whose bytes were changed. */
  emitPatched(signal: PeerSignal, patch: (bytes: Buffer) => void): void;
  /** Make a call whose bytes were changed. */
  callPatched(call: BusCall, patch: (bytes: Buffer) => void): Promise<readonly unknown[]>;
}

/** Connect a peer to the bus at `address`, by dbus-next's low-level messages. */
export async function connectPeer(address: string): Promise<WirePeer> {
  const bus = sessionBus({ busAddress: address });
  bus.on('error', () => {}); // the bus is killed on purpose
  await new Promise<void>((resolve) => bus.on('connect', () => resolve()));
  const { stream } = (bus as unknown as { _connection: { stream: NodeJS.ReadWriteStream } })._connection;
  let handler: (call: PeerCall) => PeerReply = () => ({ error: 'org.example.Unknown', text: 'no handler' });
  bus.addMethodHandler((message: Message) => {
    const reply = handler(message);
    if (reply === 'silent') return true;
    if ('error' in reply) bus.send(Message.newError(message as never, reply.error, reply.text));
    else bus.send(Message.newMethodReturn(message, reply.signature, wire(reply.signature, reply.body)));
    return true;
  });
  const ask = async (member: string, interfaceName = BUS): Promise<readonly unknown[]> => {
    const message = new Message({
      destination: BUS,
      path: '/org/freedesktop/DBus',
      interface: interfaceName,
      member,
    });
    return (await bus.call(message))?.body ?? [];
  };
  function patched<T>(patch: (bytes: Buffer) => void, send: () => T): T {
    const write = stream.write.bind(stream);
    stream.write = ((bytes: Buffer) => {
      patch(bytes);
      return write(bytes);
    }) as typeof stream.write;
    const sent = send();
    stream.write = write;
    return sent;
  }
  return {
    uniqueName: (bus as unknown as { name: string }).name,
    own: async (name) => {
      if ((await bus.requestName(name, 0)) !== 1) throw new Error(`${name} is owned by somebody else`);
    },
    release: async (name) => {
      await bus.releaseName(name);
    },
    answer: (by) => {
      handler = by;
    },
    emit: (signal) => bus.send(signalMessage(signal)),
    emitPatched: (signal, patch) => patched(patch, () => bus.send(signalMessage(signal))),
    callPatched: async (call, patch) => {
      const { signature = '', body = [] } = call;
      const message = new Message({ ...call, signature, body: wire(signature, body) });
      return (await patched(patch, () => bus.call(message)))?.body ?? [];
    },
    ask,
    close: async () => {
      const closed = new Promise<void>((resolve) => stream.once('close', () => resolve()));
      bus.disconnect();
      await closed;
    },
  };
}

/** How many match rules all clients of a dbus-daemon hold. */
export async function ruleCountAt(address: string): Promise<number> {
  const peer = await connectPeer(address);
  const [rules] = await peer.ask('GetAllMatchRules', 'org.freedesktop.DBus.Debug.Stats');
  await peer.close();
  return Object.values(rules as Record<string, string[]>).flat().length;
}

const BUS = 'org.freedesktop.DBus';

function signalMessage(signal: PeerSignal): Message {
  const { destination, path, interface: name, member, signature = '', body = [] } = signal;
  const message = Message.newSignal(path, name, member, signature, wire(signature, body));
  if (destination !== undefined) message.destination = destination;
  return message;
}

const wire = (signature: string, body: readonly unknown[]): unknown[] =>
  toWire(signature, body, (type, value) => new Variant(type, value));

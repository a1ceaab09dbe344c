import { DnskeeperError } from '../../src/core/errors.ts';
import type { BusCall, BusSignal } from '../../src/system/bus.ts';
import type {
  BusConnection,
  Connect,
  ConnectionEvents,
  ReceivedCall,
  Reply,
  SentReply,
} from '../../src/system/bus-connection.ts';
import type { ServiceBus } from '../../src/system/bus-service.ts';
import { systemClock } from '../../src/system/clock.ts';
import { silentLog } from '../../src/system/log.ts';
import { toWire, unwrap } from '../../src/system/message-body.ts';
import { reconnectingBus } from '../../src/system/reconnecting-bus.ts';
import type { BusPeer, PeerCall, PeerReply, PeerSignal } from './bus-peer.ts';

/** A bus daemon in memory: names, match rules and broadcast as dbus-daemon does them, in order, a turn later. */
export interface FakeBusDaemon {
  /** A bus of ours over it, which is the caller's to close. */
  open(): ServiceBus;
  peer(): BusPeer;
  /** From now on the connection with this unique name belongs to a user; all others are root's. */
  setUser(uniqueName: string, uid: number): void;
  /** All match rules that clients hold. */
  rules(): readonly string[];
  start(): void;
  kill(): void;
}

/** A running daemon that nobody is connected to. */
export function fakeBusDaemon(): FakeBusDaemon {
  const clients = new Set<Client>();
  const peers = new Map<string, { handler: (call: PeerCall) => PeerReply }>();
  const owners = new Map<string, string>();
  /** Who waits for a name, and which owners can be replaced. */
  const queues = new Map<string, string[]>();
  const replaceable = new Set<string>();
  const users = new Map<string, number>();
  let running = true;
  let next = 1;

  const broadcast = (signal: BusSignal, destination?: string): void => {
    for (const client of clients) {
      const wanted =
        destination === undefined ? client.wants(signal, owners) : destination === client.uniqueName;
      if (wanted) later(() => client.alive() && client.events.signal(signal));
    }
  };
  const setOwner = (name: string, owner: string | undefined): void => {
    const before = owners.get(name) ?? '';
    if (owner === undefined) owners.delete(name);
    else owners.set(name, owner);
    replaceable.delete(name);
    for (const [to, member] of [
      [before, 'NameLost'],
      [owner ?? '', 'NameAcquired'],
    ] as const)
      if (to !== '') broadcast({ ...NAME_OWNER_CHANGED, member, signature: 's', body: [name] }, to);
    broadcast({ ...NAME_OWNER_CHANGED, body: [name, before, owner ?? ''] });
  };
  const letGo = (name: string, by: string): void => {
    const queue = (queues.get(name) ?? []).filter((waiting) => waiting !== by);
    queues.set(name, queue);
    if (owners.get(name) === by) setOwner(name, queue.shift());
  };
  const leave = (uniqueName: string): void => {
    for (const name of [...new Set([...owners.keys(), ...queues.keys()])]) letGo(name, uniqueName);
    broadcast({ ...NAME_OWNER_CHANGED, body: [uniqueName, uniqueName, ''] });
  };
  const requestName = (client: Client, name: string, flags: number): Reply => {
    const owner = owners.get(name);
    if (owner === client.uniqueName) return done([4]);
    const free = owner === undefined || ((flags & 2) !== 0 && replaceable.has(name));
    if (!free && (flags & 4) !== 0) return done([3]);
    const queue = queues.get(name) ?? [];
    if (!free) queues.set(name, [...queue, client.uniqueName]);
    else {
      setOwner(name, client.uniqueName);
      if ((flags & 1) !== 0) replaceable.add(name);
    }
    return done([free ? 1 : 2]);
  };
  const askBus = (client: Client, { member, body: [text, number] = [] }: BusCall): Reply => {
    const name = String(text);
    if (member === 'AddMatch') client.rules.push(name);
    else if (member === 'RemoveMatch') {
      const at = client.rules.indexOf(name);
      if (at < 0) return failed('org.freedesktop.DBus.Error.MatchRuleNotFound');
      client.rules.splice(at, 1);
    } else if (member === 'RequestName') return requestName(client, name, Number(number));
    else if (member === 'ReleaseName') {
      letGo(name, client.uniqueName);
      return done([1]);
    } else if (member === 'GetConnectionUnixUser') return done([users.get(name) ?? 0]);
    else if (member === 'GetConnectionUnixProcessID') return done([1]);
    else if (member === 'GetNameOwner') {
      const owner = owners.get(name);
      return owner === undefined ? failed('org.freedesktop.DBus.Error.NameHasNoOwner') : done([owner]);
    } else return failed('org.freedesktop.DBus.Error.UnknownMethod');
    return done([]);
  };
  const route = (client: Client, call: BusCall, settle: (reply: Reply) => void): Reply | 'silent' => {
    if (call.destination === BUS) return askBus(client, call);
    const target = owners.get(call.destination) ?? call.destination;
    const served = [...clients].find(({ uniqueName }) => uniqueName === target);
    if (served !== undefined) {
      served.events.called(received(call, client.uniqueName), (sent) => settle(replyOf(sent)));
      return 'silent';
    }
    const peer = peers.get(target);
    if (peer === undefined) return failed('org.freedesktop.DBus.Error.ServiceUnknown');
    const reply = peer.handler({
      ...call,
      sender: client.uniqueName,
      body: plain(call.signature ?? '', call.body ?? []),
    });
    if (reply === 'silent') return reply;
    return 'error' in reply ? failed(reply.error, reply.text) : done(plain(reply.signature, reply.body));
  };
  const connect: Connect = (events): BusConnection => {
    let closed = false;
    const client = newClient(`:1.${next++}`, events, () => !closed);
    const close = (reason: string): void => {
      if (closed) return;
      closed = true;
      clients.delete(client);
      leave(client.uniqueName);
      later(() => events.closed(reason));
    };
    client.close = close;
    later(() => {
      if (!running) return close('nobody listens');
      if (closed) return;
      clients.add(client);
      events.ready(client.uniqueName);
    });
    return {
      close,
      call(call, settle) {
        toWire(call.signature ?? '', call.body ?? [], () => undefined);
        let forgotten = false;
        const answer = (reply: Reply): void => later(() => !closed && !forgotten && settle(reply));
        later(() => {
          const reply = closed ? 'silent' : route(client, call, answer);
          if (reply !== 'silent') answer(reply);
        });
        return () => {
          forgotten = true;
        };
      },
      emit({ destination, ...signal }) {
        const { signature = '', body = [] } = signal;
        const sent = { ...signal, sender: client.uniqueName, signature, body: plain(signature, body) };
        later(() => !closed && broadcast(sent, destination));
      },
    };
  };
  const peer = (): BusPeer => {
    const uniqueName = `:1.${next++}`;
    const self = { handler: (): PeerReply => failedReply };
    peers.set(uniqueName, self);
    return {
      uniqueName,
      async own(name) {
        if (owners.has(name)) throw new Error(`${name} is owned by somebody else`);
        setOwner(name, uniqueName);
      },
      async release(name) {
        letGo(name, uniqueName);
      },
      answer: (handler) => Object.assign(self, { handler }),
      emit: ({ destination, ...signal }: PeerSignal) => {
        const { signature = '', body = [] } = signal;
        broadcast({ ...signal, sender: uniqueName, signature, body: plain(signature, body) }, destination);
      },
      ask: () => Promise.reject(new Error('this fake answers no questions of peers')),
      async close() {
        peers.delete(uniqueName);
        leave(uniqueName);
      },
    };
  };
  return {
    open: () => reconnectingBus({ connect, log: silentLog, clock: systemClock }),
    peer,
    setUser: (uniqueName, uid) => void users.set(uniqueName, uid),
    rules: () => [...clients].flatMap((client) => client.rules),
    start: () => {
      running = true;
    },
    kill() {
      running = false;
      owners.clear();
      queues.clear();
      peers.clear();
      for (const client of [...clients]) client.close('killed');
    },
  };
}

const BUS = 'org.freedesktop.DBus';
const NAME_OWNER_CHANGED = {
  sender: BUS,
  path: '/org/freedesktop/DBus',
  interface: BUS,
  member: 'NameOwnerChanged',
  signature: 'sss',
};
const failedReply: PeerReply = { error: 'org.example.Unknown', text: 'no handler' };

interface Client {
  readonly uniqueName: string;
  readonly events: ConnectionEvents;
  readonly rules: string[];
  close(reason: string): void;
  alive(): boolean;
  wants(signal: BusSignal, owners: ReadonlyMap<string, string>): boolean;
}

function newClient(uniqueName: string, events: ConnectionEvents, alive: () => boolean): Client {
  const rules: string[] = [];
  const wants: Client['wants'] = (signal, owners) => rules.some((rule) => ruleFits(rule, signal, owners));
  return { uniqueName, events, rules, close: () => {}, alive, wants };
}

/** Read the rule's text, as the daemon does, rather than share the code under test. */
function ruleFits(rule: string, signal: BusSignal, owners: ReadonlyMap<string, string>): boolean {
  return rule.split(',').every((part) => {
    const [, key = '', value = ''] = /^([a-z_0-9]+)='([^']*)'$/.exec(part) ?? [];
    if (key === 'sender') return (owners.get(value) ?? value) === signal.sender;
    if (key === 'path_namespace') return `${signal.path}/`.startsWith(value === '/' ? '/' : `${value}/`);
    if (key === 'arg0') return signal.body[0] === value;
    if (key === 'arg2') return signal.body[2] === value;
    if (key === 'type') return value === 'signal';
    return (signal as unknown as Record<string, unknown>)[key] === value;
  });
}

const later = (task: () => unknown): void => void setImmediate(task);
const done = (body: readonly unknown[]): Reply => ({ ok: true, body });
const failed = (name: string, text = ''): Reply => ({
  ok: false,
  error: new DnskeeperError('BUS', `${name}: ${text}`, { name }),
});

function received(call: BusCall, sender: string): ReceivedCall {
  const { path, interface: name, member, signature = '', body = [] } = call;
  const marked = toWire(signature, body, (type, value) => new Marked(type, value));
  const isMarked = (object: object): boolean => object instanceof Marked;
  const values = marked.map((value) =>
    value instanceof Marked
      ? { signature: value.signature, value: unwrap(value.value, isMarked) }
      : unwrap(value, isMarked),
  );
  return { sender, path, interface: name, member, signature, body: values, interactive: false };
}

function replyOf(sent: SentReply): Reply {
  if (!sent.ok) return failed(sent.errorName, sent.text);
  try {
    return done(plain(sent.signature, sent.body));
  } catch {
    return failed('org.freedesktop.DBus.Error.Failed');
  }
}

class Marked {
  readonly signature: string;
  readonly value: unknown;
  constructor(signature: string, value: unknown) {
    this.signature = signature;
    this.value = value;
  }
}

const plain = (signature: string, body: readonly unknown[]): unknown[] =>
  toWire(signature, body, (type, value) => new Marked(type, value)).map((value) =>
    unwrap(value, (object) => object instanceof Marked),
  );

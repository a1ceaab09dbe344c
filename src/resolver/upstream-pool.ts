import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { parseAddress } from '../core/address.ts';
import { DnskeeperError } from '../core/errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Libc } from '../system/libc.ts';
import { Deadlines, Due } from './deadlines.ts';
import { NoRoomError } from './ede.ts';
import type { WatchedSockets } from './fast-path.ts';
import { random16 } from './random.ts';
import type { StopSignal } from './stop.ts';
import {
  type Endpoint,
  gaveUp,
  MOST_WRONG,
  noAnswer,
  tooManyWrong,
  UDP_MS,
  type UpstreamDatagrams,
  unreachable,
} from './upstream-udp.ts';
import { HEADER } from './wire.ts';

/** What a pool works with. */
export interface UpstreamPoolNeeds {
  readonly libc: Libc;
  readonly clock: Clock;
  /** Resolves when nobody reads from sockets any more that are not watched now. */
  readonly settled: () => Promise<void>;
}

/** Sockets to one server over one link at a time. */
const MOST_PER_SERVER = 32;
/** A socket's port is not used longer than this, or for more questions. */
const LIFE_MS = 10_000;
const MOST_ASKED = 200;
/** Open sockets in all, those included that only wait for their last answers; far below the limit of open files. */
const MOST_OPEN = 512;
const MOST_QUESTIONS = 4096;
/** Ids of sockets are numbers of two bytes. */
const ID_END = 0x10000;

/**
 * Questions over UDP by sockets that live for some seconds and share the work, where Node's take a socket, a lookup and
 * a turn of the loop for each question. Others hear the sockets, by the epoll descriptor, and tell what came.
 *
 * What somebody who forges an answer without seeing the question has to guess (RFC 5452 section 4.3): the server's
 * address; the id, 16 random bits; the port, which the kernel draws for each socket from the local range, 28,232 ports
 * unless configured (14.8 bits); and the capitals of the name. As long as fewer than 32 questions went to a server in the
 * last ten seconds each has a port of its own. Under load every question goes by one of 32 at random, so that even
 * somebody who has found out all 32 still has to guess five bits beside the id and the capitals, and a port is gone after
 * ten seconds or 200 questions. The socket takes messages from the server's address and port alone, the id is unlike that
 * of any other question on it, and one that gets too many wrong messages is given up with all its questions.
 */
export class UpstreamPool implements UpstreamDatagrams, WatchedSockets {
  readonly most = MOST_QUESTIONS;
  readonly descriptor: number;
  readonly #needs: UpstreamPoolNeeds;
  readonly #servers = new Map<string, PoolSocket[]>();
  readonly #sockets = new Map<number, PoolSocket>();
  readonly #lives: Deadlines;
  readonly #deadlines: Deadlines;
  #nextId = 0;
  #closed = false;
  #outgoing: PoolQuestion[] = [];
  /** Sockets that are not watched any more, but perhaps still read from. */
  #unwatched: number[] = [];
  #closing: Promise<void> | undefined;

  constructor(needs: UpstreamPoolNeeds) {
    this.#needs = needs;
    this.descriptor = needs.libc.epoll.open();
    this.#lives = new Deadlines(needs.clock, LIFE_MS);
    this.#deadlines = new Deadlines(needs.clock, UDP_MS);
  }

  ask(
    endpoint: Endpoint,
    question: Buffer,
    accept: (message: Buffer) => boolean,
    signal: StopSignal,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.#closed) return reject(gaveUp());
      try {
        const socket = this.#pick(endpoint);
        const id = freeId(socket, question);
        const asked = new PoolQuestion(
          socket,
          { id, question, accept },
          { resolve, reject, signal },
          this.#deadlines,
        );
        signal.addEventListener('abort', asked.stop, ONCE);
        if (++socket.asked >= MOST_ASKED) this.#retire(socket);
        if (this.#outgoing.length === 0) setImmediate(this.#send);
        this.#outgoing.push(asked);
      } catch (error) {
        reject(unreachable(endpoint, error));
      }
    });
  }

  heard(id: number, message: Buffer): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    const asked = message.length < 2 ? undefined : socket.questions.get(message.readUInt16BE(HEADER.id));
    if (asked?.accept(message) === true) asked.answered(message);
    else if (++socket.wrong > MOST_WRONG) {
      const { host } = socket.endpoint;
      this.#giveUp(socket, () => tooManyWrong(host, socket.wrong));
    }
  }

  failed(id: number, errorNumber: number): void {
    const socket = this.#sockets.get(id);
    if (socket !== undefined) this.#broken(socket, errorNumber);
  }

  /** Ask by new sockets from now on: addresses of ours, or links, are others than before. */
  renew(): void {
    for (const socket of [...this.#sockets.values()]) this.#retire(socket);
  }

  /** Give up all questions; resolves when all sockets are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of [...this.#sockets.values()]) this.#giveUp(socket, gaveUp);
    this.#lives.clear();
    this.#deadlines.clear();
    await this.#closing;
  }

  /** Close the epoll descriptor, which nobody may wait for any more. */
  closeDescriptor(): void {
    closeSync(this.descriptor);
  }

  /** A new socket as long as the server has few, then any of them. */
  #pick(endpoint: Endpoint): PoolSocket {
    const key = `${endpoint.host} ${endpoint.port} ${endpoint.interface ?? ''}`;
    const held = this.#servers.get(key);
    const full = this.#sockets.size + this.#unwatched.length >= MOST_OPEN;
    if (held !== undefined && (held.length >= MOST_PER_SERVER || (full && held.length > 0)))
      return held[random16() % held.length] as PoolSocket;
    if (full) throw new NoRoomError(`${MOST_OPEN} sockets are open, which is the most`);
    const socket = this.#open(endpoint, key);
    if (held === undefined) this.#servers.set(key, [socket]);
    else held.push(socket);
    return socket;
  }

  #open(endpoint: Endpoint, key: string): PoolSocket {
    const { datagrams, epoll } = this.#needs.libc;
    const [host = '', zone] = endpoint.host.split('%');
    const address = parseAddress(host);
    if (!address.ok) throw new DnskeeperError('USAGE', `wanted the address of a server, got ${host}`);
    const fd = datagrams.connectUdp(address.value, endpoint.port, zone, endpoint.interface);
    while (this.#sockets.has(this.#nextId)) this.#nextId = (this.#nextId + 1) % ID_END;
    const id = this.#nextId;
    this.#nextId = (id + 1) % ID_END;
    try {
      epoll.watch(this.descriptor, fd, id);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    const socket = new PoolSocket(id, fd, endpoint, key, (which) => this.#retire(which));
    this.#sockets.set(id, socket);
    this.#lives.add(socket);
    return socket;
  }

  /** All questions of one turn of the loop: a server that is woken for one of them takes the others too. */
  readonly #send = (): void => {
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    for (const { socket, question, ended } of outgoing) {
      if (ended) continue;
      const sent = this.#needs.libc.datagrams.sendOn(socket.fd, question);
      if (sent < 0) this.#broken(socket, -sent);
    }
  };

  /** The kernel tells of an error once, and not to which question it belongs. */
  #broken(socket: PoolSocket, errorNumber: number): void {
    const error = new Error(getSystemErrorName(-errorNumber));
    this.#giveUp(socket, () => unreachable(socket.endpoint, error));
  }

  #giveUp(socket: PoolSocket, why: () => DnskeeperError): void {
    for (const asked of socket.questions.all()) asked.fail(why());
    this.#retire(socket);
  }

  /** Put no more questions on a socket, and close it when the last is answered. */
  #retire(socket: PoolSocket): void {
    const held = this.#servers.get(socket.key);
    const at = held?.indexOf(socket) ?? -1;
    if (held !== undefined && at >= 0) {
      held.splice(at, 1);
      if (held.length === 0) this.#servers.delete(socket.key);
      this.#lives.delete(socket);
    }
    socket.retired = true;
    if (socket.questions.size > 0 || !this.#sockets.delete(socket.id)) return;
    this.#needs.libc.epoll.unwatch(this.descriptor, socket.fd);
    this.#unwatched.push(socket.fd);
    this.#closing ??= this.#closeUnwatched().finally(() => {
      this.#closing = undefined;
    });
  }

  async #closeUnwatched(): Promise<void> {
    while (this.#unwatched.length > 0) {
      const these = [...this.#unwatched];
      await this.#needs.settled();
      for (const fd of these) closeSync(fd);
      this.#unwatched = this.#unwatched.slice(these.length);
    }
  }
}

const ONCE = { once: true };

class PoolSocket extends Due {
  readonly id: number;
  readonly fd: number;
  readonly endpoint: Endpoint;
  readonly key: string;
  readonly questions = new Questions();
  asked = 0;
  /** Messages that answered nothing; what was given up lowers it, because its answer may come late. */
  wrong = 0;
  retired = false;
  readonly retire: (socket: PoolSocket) => void;

  constructor(id: number, fd: number, endpoint: Endpoint, key: string, retire: (socket: PoolSocket) => void) {
    super();
    this.id = id;
    this.fd = fd;
    this.endpoint = endpoint;
    this.key = key;
    this.retire = retire;
  }

  expired(): void {
    this.retire(this);
  }
}

/** Who waits for an answer. */
interface Waiting {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly signal: StopSignal;
}

/** The questions on one socket: some at most, so that looking through them beats a Map, whose old tables would keep them. */
class Questions {
  readonly #questions: PoolQuestion[] = [];

  get size(): number {
    return this.#questions.length;
  }

  get(id: number): PoolQuestion | undefined {
    for (const one of this.#questions) if (one.id === id) return one;
    return undefined;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  add(question: PoolQuestion): void {
    this.#questions.push(question);
  }

  delete(question: PoolQuestion): void {
    const at = this.#questions.indexOf(question);
    const last = this.#questions.pop();
    if (last !== undefined && last !== question) this.#questions[at] = last;
  }

  all(): readonly PoolQuestion[] {
    return [...this.#questions];
  }
}

class PoolQuestion extends Due {
  readonly socket: PoolSocket;
  readonly id: number;
  readonly question: Buffer;
  readonly accept: (message: Buffer) => boolean;
  ended = false;
  readonly #waiting: Waiting;
  readonly #deadlines: Deadlines;

  constructor(
    socket: PoolSocket,
    {
      id,
      question,
      accept,
    }: {
      readonly id: number;
      readonly question: Buffer;
      readonly accept: (message: Buffer) => boolean;
    },
    waiting: Waiting,
    deadlines: Deadlines,
  ) {
    super();
    this.socket = socket;
    this.id = id;
    this.question = question;
    this.accept = accept;
    this.#waiting = waiting;
    this.#deadlines = deadlines;
    socket.questions.add(this);
    deadlines.add(this);
  }

  answered(message: Buffer): void {
    this.#end();
    this.#waiting.resolve(message);
  }

  fail(error: Error): void {
    this.#end();
    this.#waiting.reject(error);
  }

  /** A way that lost a packet may be gone: the next question takes another socket. */
  expired(): void {
    const { socket } = this;
    socket.wrong--;
    this.fail(noAnswer(socket.endpoint.host));
    socket.retire(socket);
  }

  readonly stop = (): void => {
    this.socket.wrong--;
    this.fail(gaveUp());
  };

  #end(): void {
    const { socket } = this;
    this.ended = true;
    socket.questions.delete(this);
    this.#deadlines.delete(this);
    this.#waiting.signal.removeEventListener('abort', this.stop);
    if (socket.retired && socket.questions.size === 0) socket.retire(socket);
  }
}

/** The question's id, or another one where a question on the same socket has it. */
function freeId(socket: PoolSocket, question: Buffer): number {
  let id = question.readUInt16BE(HEADER.id);
  while (socket.questions.has(id)) id = random16();
  question.writeUInt16BE(id, HEADER.id);
  return id;
}

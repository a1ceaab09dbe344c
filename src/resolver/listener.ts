import { messageOf } from '../core/errors.ts';
import type { Log } from '../system/log.ts';
import type { Client } from './client.ts';
import { EDE } from './ede.ts';
import { fit as cutToSize, responseTo } from './message.ts';
import { readQuery } from './message-read.ts';
import type { Answerer, Query } from './query.ts';
import { Queue, Queued } from './queue.ts';
import { Stop } from './stop.ts';
import { RCODE } from './wire.ts';

/** Where a listener stands and what it serves. */
export interface ListenAt {
  readonly host: string;
  readonly port: number;
  readonly service: Query['service'];
  /** What alone is served; both where left out. */
  readonly transport?: Query['transport'];
  /** For others than this machine: no file names it, and it may be an address that the machine does not have yet. */
  readonly extra?: boolean;
}

/** Something that takes queries on one address; the fast path's worker is another one than the sockets of Node. */
export interface Listener {
  readonly at: ListenAt;
  /** Take no more queries and go on answering those in flight, where one can be had without the other. */
  pause?(): Promise<void>;
  /** Take no more queries; those in flight are given up. */
  close(): Promise<void>;
}

/**
 * Whether another program may have the same UDP address: a systemd-resolved that starts while we still answer must get
 * its own. Only where no ordinary user can, who would be given our clients' queries.
 */
export const mayBeShared = (port: number): boolean => port < FIRST_FREE_PORT;

/** Ports from here on are anybody's (ip(7), ip_unprivileged_port_start). */
const FIRST_FREE_PORT = 1024;

/**
 * Bounds on what clients may have under way: all together, one socket on this machine, one address elsewhere. Who keeps to
 * his share meets none of them, however long the main thread is away. Beyond a bound he is told SERVFAIL, where unbound
 * drops the question: whoever is told can ask less, whoever is not waits for five seconds.
 */
export const MOST_QUERIES = { all: 2048, perClient: 1024, perNeighbour: 512 };

/** Counts of what came, for status and statistics. */
export interface Traffic {
  readonly queries: number;
  readonly malformed: number;
  /** Answered with SERVFAIL because a bound was reached. */
  readonly overBound: number;
  readonly inFlight: number;
}

/** Between sockets and stages: reads queries, keeps the bounds, and cuts answers to size. */
export class Reception {
  readonly #answer: Answerer;
  readonly #log: Log;
  readonly #taken = new Queue<Taken>();
  #closed = false;
  readonly #clients = new Map<string, number>();
  /** Those who wait until nothing is in flight. */
  readonly #empty = new Set<() => void>();
  #inFlight = 0;
  #queries = 0;
  #malformed = 0;
  #overBound = 0;
  #connectionsEnded = 0;

  readonly #elsewhere: () => number;

  /** `elsewhere` counts the queries that never came here, because the fast path answered them. */
  constructor(answer: Answerer, log: Log, elsewhere: () => number = () => 0) {
    this.#answer = answer;
    this.#log = log;
    this.#elsewhere = elsewhere;
  }

  get traffic(): Traffic {
    return {
      queries: this.#queries + this.#elsewhere(),
      malformed: this.#malformed,
      overBound: this.#overBound,
      inFlight: this.#inFlight,
    };
  }

  /** A connection was ended because too many are open. */
  connectionEnded(): void {
    this.#connectionsEnded++;
  }

  get connectionsEnded(): number {
    return this.#connectionsEnded;
  }

  /** Answer one message from a client; `reply` is called once, at once or later, or never where silence is right. */
  take(
    message: Buffer,
    transport: Query['transport'],
    service: Query['service'],
    client: Client,
    reply: (response: Buffer) => void,
  ): void {
    this.#queries++;
    const read = readQuery(message, transport, service);
    if (!read.ok) {
      this.#malformed++;
      if (read.response !== undefined) this.#tell(reply, read.response);
      return;
    }
    const query = read.value;
    const held = this.#clients.get(client.key) ?? 0;
    if (this.#closed || this.#inFlight >= MOST_QUERIES.all || held >= shareOf(client)) {
      this.#overBound++;
      this.#tell(reply, busy(query));
      return;
    }
    this.#inFlight++;
    this.#clients.set(client.key, held + 1);
    const taken = new Taken(client.key);
    this.#taken.add(taken);
    const failed = (error: unknown): void => {
      this.#release(taken);
      if (this.#closed) return;
      this.#log.error({ error: String(error) }, 'a query could not be answered');
      this.#tell(reply, responseTo(query, { rcode: RCODE.SERVFAIL, ede: { code: EDE.other } }));
    };
    this.#answer(query, taken.stop)
      .then(({ wire }) => {
        this.#tell(reply, cutToSize(query, wire));
        this.#release(taken);
      })
      .catch(failed);
  }

  /** Wait until nothing is in flight, or `signal` aborts. */
  drained(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#empty.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      if (this.#inFlight === 0 || signal.aborted) return resolve();
      this.#empty.add(done);
      signal.addEventListener('abort', done);
    });
  }

  /** Give up what is in flight. */
  close(): void {
    this.#closed = true;
    for (const { stop } of this.#taken.items()) stop.abort();
  }

  /** Nobody hears what cannot be sent: Node refuses to send to port 0, which a packet may well come from. */
  #tell(reply: (response: Buffer) => void, response: Buffer): void {
    try {
      reply(response);
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'an answer could not be sent');
    }
  }

  #release(taken: Taken): void {
    const { client } = taken;
    this.#taken.delete(taken);
    this.#inFlight--;
    if (this.#inFlight === 0) for (const done of this.#empty) done();
    const left = (this.#clients.get(client) ?? 1) - 1;
    if (left === 0) this.#clients.delete(client);
    else this.#clients.set(client, left);
  }
}

/** A query that is being answered, and for whom. */
class Taken extends Queued {
  readonly client: string;
  readonly stop = new Stop();

  constructor(client: string) {
    super();
    this.client = client;
  }
}

const shareOf = ({ local }: Client): number => (local ? MOST_QUERIES.perClient : MOST_QUERIES.perNeighbour);

const busy = (query: Query): Buffer =>
  responseTo(query, { rcode: RCODE.SERVFAIL, ede: { code: EDE.notReady, text: 'too many queries at once' } });

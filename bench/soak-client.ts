import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseAddress } from '../src/core/address.ts';
import { datagramBatch } from '../src/system/datagram-batch.ts';
import { type Libc, loadLibc } from '../src/system/libc.ts';
import { socketAddress } from '../src/system/socket-address.ts';
import { addressQuery } from './dns-programs.ts';

/** The address of every name of the two kinds, as its four bytes. */
export interface Truth {
  readonly public: readonly number[];
  readonly office: readonly number[];
}

/** What came of the load. */
export interface SoakCounts {
  readonly sent: number;
  readonly lost: number;
  readonly wrong: number;
  /** Codes other than NOERROR, and how often. */
  readonly failures: ReadonlyMap<number, number>;
  /** The first few things that went wrong. */
  readonly examples: readonly string[];
}

const IDS = 0x10000;
const TICK_MS = 5;
const PATIENCE_MS = 5000;
/** Below what the resolver lets one client have under way. */
const MOST_WAITING = 900;
const POPULAR = 1000;
const MANY = 100_000;
const SLOTS = 64;
/** Room for all that may wait, so that nothing is lost on our side. */
const RECEIVE_BYTES = 8 << 20;
const SLOT_BYTES = 1024;
const MOST_EXAMPLES = 10;

interface Waiting {
  readonly sentAt: number;
  readonly query: Buffer;
  readonly kind: keyof Truth;
  /** The plan in force when it was sent. */
  readonly state: number;
}

/** Asks at an even pace over one socket, in batches, and checks every answer. */
export class SoakClient implements Disposable {
  readonly #port: number;
  readonly #fd: number;
  readonly #server: Buffer;
  readonly #libc: Libc;
  readonly #batch;
  readonly #waiting = new Map<number, Waiting>();
  /** Truths by plan; those that a query may meet are from the one it was sent under to the last. */
  readonly #truths: Truth[] = [];
  /** The newest plan that surely is in force. */
  #settled = 0;
  #changedAt = 0;
  #next = 0;
  #fresh = 0;
  #sent = 0;
  #lost = 0;
  #wrong = 0;
  readonly #failures = new Map<number, number>();
  readonly #examples: string[] = [];

  constructor(port: number) {
    const libc = loadLibc();
    const address = parseAddress('127.0.0.1');
    if (libc === undefined || !address.ok) throw new Error('wanted the C library');
    this.#port = port;
    this.#libc = libc;
    this.#fd = libc.datagrams.bindUdp(address.value, 0, { receiveBytes: RECEIVE_BYTES });
    this.#server = socketAddress(address.value, port);
    this.#batch = datagramBatch(libc.datagrams, SLOTS, SLOT_BYTES);
  }

  /** Another plan is about to hold: both answers are good. */
  changing(truth: Truth): void {
    this.#truths.push(truth);
    this.#changedAt = performance.now();
  }

  /** It holds: queries sent from now on may meet it alone. */
  settled(truth: Truth): void {
    if (this.#truths.length === 0) this.#truths.push(truth);
    this.#settled = this.#truths.length - 1;
  }

  /** Whether names never asked for before get this plan's answers. */
  async tells(truth: Truth, publicZone: string, officeZone: string): Promise<boolean> {
    const name = `probe${this.#fresh++}`;
    const [everybody, office] = await Promise.all([
      probe(this.#port, `${name}.${publicZone}`),
      probe(this.#port, `${name}.${officeZone}`),
    ]);
    return sameBytes(everybody, truth.public) && sameBytes(office, truth.office);
  }

  /** Ask so many queries, spread over so many seconds. */
  async load(count: number, seconds: number, publicZone: string, officeZone: string): Promise<SoakCounts> {
    const perMs = count / (seconds * 1000);
    const start = performance.now();
    let swept = start;
    while (this.#sent < count) {
      const now = performance.now();
      const due = Math.min(count, Math.ceil((now - start) * perMs)) - this.#sent;
      this.#receive();
      for (let i = 0; i < due && this.#waiting.size < MOST_WAITING; i++) {
        this.#send(publicZone, officeZone, now);
        if (i % SLOTS === SLOTS - 1) this.#receive();
      }
      if (now - swept > 1000) {
        this.#sweep(now);
        swept = now;
      }
      await pause(TICK_MS);
    }
    const end = performance.now() + PATIENCE_MS + 100;
    while (this.#waiting.size > 0 && performance.now() < end) {
      await pause(TICK_MS);
      this.#receive();
    }
    this.#sweep(Number.POSITIVE_INFINITY);
    const { size } = this.#failures;
    return {
      sent: this.#sent,
      lost: this.#lost,
      wrong: this.#wrong,
      failures: size === 0 ? new Map() : this.#failures,
      examples: this.#examples,
    };
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #send(publicZone: string, officeZone: string, now: number): void {
    while (this.#waiting.has(this.#next)) this.#next = (this.#next + 1) % IDS;
    const id = this.#next;
    this.#next = (id + 1) % IDS;
    const kind = this.#sent % 2 === 0 ? 'public' : 'office';
    const query = addressQuery(id, `${this.#label()}.${kind === 'public' ? publicZone : officeZone}`);
    this.#waiting.set(id, { sentAt: now, query, kind, state: this.#settled });
    this.#sent++;
    const sent = this.#libc.datagrams.sendTo(this.#fd, query, this.#server);
    if (sent !== query.length) this.#note(`a query could not be sent, errno ${-sent}`);
  }

  #label(): string {
    const draw = Math.random();
    if (draw < 0.05) return `new${this.#fresh++}`;
    if (draw < 0.15) return `many${Math.floor(Math.random() * MANY)}`;
    return `host${Math.floor(Math.random() * POPULAR)}`;
  }

  #receive(): void {
    for (;;) {
      const count = this.#batch.receive(this.#fd);
      if (count <= 0) return;
      for (let slot = 0; slot < count; slot++) {
        const at = slot * SLOT_BYTES;
        this.#check(this.#batch.bytes.subarray(at, at + this.#batch.lengthOf(slot)));
      }
      if (count < SLOTS) return;
    }
  }

  #check(answer: Buffer): void {
    const id = answer.length < 12 ? -1 : answer.readUInt16BE(0);
    const asked = this.#waiting.get(id);
    if (asked === undefined) {
      this.#wrong++;
      this.#note(`an answer that nobody waits for: ${answer.toString('hex')}`);
      return;
    }
    this.#waiting.delete(id);
    const code = (answer[3] ?? 0) & 15;
    if (code !== 0) {
      this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
      const now = performance.now();
      const times = `after ${Math.round(now - asked.sentAt)} ms, ${Math.round(now - this.#changedAt)} ms after a switch began`;
      this.#note(`code ${code} to ${nameIn(asked.query)} ${times}, ${this.#waiting.size} more waited`);
      return;
    }
    const { query } = asked;
    // One record after the question: pointer, type, class, TTL, length, and the address.
    const same = answer.length === query.length + 16 && query.compare(answer, 12, query.length, 12) === 0;
    const address = answer.subarray(answer.length - 4);
    if (same && this.#isTrue(asked, address)) return;
    this.#wrong++;
    this.#note(
      `${[...address].join('.')} for ${nameIn(query)}, sent under plan ${asked.state} of ${this.#truths.length}`,
    );
  }

  #isTrue({ kind, state }: Waiting, address: Buffer): boolean {
    for (let plan = this.#truths.length - 1; plan >= state; plan--)
      if (sameBytes(address, this.#truths[plan]?.[kind] ?? [])) return true;
    return false;
  }

  #sweep(now: number): void {
    for (const [id, { sentAt, query }] of this.#waiting) {
      if (now - sentAt < PATIENCE_MS) continue;
      this.#waiting.delete(id);
      this.#lost++;
      this.#note(`no answer for ${nameIn(query)}`);
    }
  }

  #note(text: string): void {
    if (this.#examples.length < MOST_EXAMPLES) this.#examples.push(text);
  }
}

const nameIn = (query: Buffer): string =>
  query.toString('latin1', 12, query.length - 5).replaceAll(/[^\w-]/g, '.');

const sameBytes = (some: Buffer | undefined, others: readonly number[]): boolean =>
  some?.length === others.length && others.every((byte, index) => some[index] === byte);

/** Packets to a UDP port of 127.0.0.1 that the kernel threw away because nobody took them in time (proc_net(5)). */
export function droppedAt(port: number): number {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/udp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${wanted}`))
    .reduce((sum, fields) => sum + Number(fields.at(-1)), 0);
}

/** The address that a name has; undefined when none is told soon. */
async function probe(port: number, name: string): Promise<Buffer | undefined> {
  const socket = createSocket('udp4');
  try {
    socket.send(addressQuery(1, name), port, '127.0.0.1');
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(1000) })) as [Buffer];
    return answer.subarray(answer.length - 4);
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

import { connect, isIP, Socket } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  TLSSocket,
} from 'node:tls';
import { DnskeeperError } from '../core/errors.ts';
import { NoRoomError } from './ede.ts';
import { EncryptionError } from './encryption.ts';
import type { Counters } from './statistics.ts';
import type { StopSignal } from './stop.ts';
import { type UpstreamStream, upstreamStream } from './upstream-stream.ts';
import type { BindToLink, Endpoint } from './upstream-udp.ts';

/** What a connection has to be. */
export type StreamKind =
  | { readonly kind: 'tcp' }
  /** Encrypted, whoever is at the other end (RFC 7858 section 4.1). */
  | { readonly kind: 'tls'; readonly verify: false; readonly name?: string }
  /** The certificate has to be for this name, or for the address where there is no name (RFC 8310 section 8). */
  | { readonly kind: 'tls'; readonly verify: true; readonly name?: string };

/** What the connections work with. */
export interface ConnectionNeeds {
  readonly bindToLink?: BindToLink;
  /** Authorities to trust instead of the system's, as PEM; for tests. */
  readonly authorities?: readonly string[];
  readonly counters?: Counters;
}

const CONNECT_MS = 3000;
/** Where TLS is only hoped for, nobody is kept waiting for it for long. */
const HOPE_MS = 1000;
const TCP_IDLE_MS = 10_000;
/** Long enough that a person who reads a page finds the connection still there. */
const TLS_IDLE_MS = 60_000;
/** Connections to servers at once; one that is idle makes room for another, and without one more are refused. */
export const MOST_CONNECTIONS = 64;
const MOST_SESSIONS = 64;

/** A connection that is there or being made. */
interface Kept {
  readonly made: Promise<UpstreamStream>;
  stream?: UpstreamStream;
}

/** The kept connections to servers: one for each server, link and kind, made when first wanted. */
export class UpstreamConnections {
  readonly #needs: ConnectionNeeds;
  readonly #kept = new Map<string, Kept>();
  #sessions = new Map<string, Buffer>();
  readonly #sockets = new Set<Socket>();
  readonly #contexts = new Map<boolean, SecureContext>();
  #closed = false;

  constructor(needs: ConnectionNeeds) {
    this.#needs = needs;
  }

  /**
   * The connection that is there, or a new one. Rejects with a DnskeeperError when it cannot be made in time, and with an
   * EncryptionError when the other end is not the server or speaks no TLS.
   */
  async get(endpoint: Endpoint, kind: StreamKind, signal: StopSignal): Promise<UpstreamStream> {
    const { counters } = this.#needs;
    const key = keyOf(endpoint, kind);
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.stream?.usable !== false) {
      if (kept.stream !== undefined && counters !== undefined) counters.connections.reused++;
      return unlessGivenUp(kept.made, signal);
    }
    this.#makeRoom();
    const making: Kept = { made: this.#make(key, endpoint, kind) };
    this.#kept.set(key, making);
    making.made.then(
      (stream) => {
        making.stream = stream;
      },
      () => this.#forget(key, making),
    );
    return unlessGivenUp(making.made, signal);
  }

  /** A new one that nobody shares, to be retired by whoever wants it; rejects as `get` does. */
  async alone(endpoint: Endpoint, kind: StreamKind, signal: StopSignal): Promise<UpstreamStream> {
    this.#makeRoom();
    const made = this.#make(keyOf(endpoint, kind), endpoint, kind);
    made.catch(() => {}); // whoever has given up does not hear of it
    return unlessGivenUp(made, signal);
  }

  /** The network is another one: from now on new connections, by which no server knows us again. */
  renew(): void {
    for (const { made } of this.#kept.values())
      made.then(
        (stream) => stream.retire(),
        () => {},
      );
    this.#kept.clear();
    // Not only emptied: an old connection may still get a ticket.
    this.#sessions = new Map();
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#kept.clear();
  }

  #forget(key: string, kept: Kept | undefined): void {
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
  }

  #makeRoom(): void {
    if (this.#closed) throw new DnskeeperError('IO', 'the resolver is closing');
    if (this.#sockets.size < MOST_CONNECTIONS || this.#closeIdle()) return;
    if (this.#needs.counters !== undefined) this.#needs.counters.bounds.connections++;
    throw new NoRoomError(`${MOST_CONNECTIONS} connections to servers are open, which is the most`);
  }

  /** Make room by closing the connection that was made first of those that wait for nothing. */
  #closeIdle(): boolean {
    for (const { stream } of this.#kept.values()) {
      if (stream?.idle !== true) continue;
      stream.close();
      return true;
    }
    return false;
  }

  #make(key: string, endpoint: Endpoint, kind: StreamKind): Promise<UpstreamStream> {
    return new Promise((resolve, reject) => {
      const raw = this.#tcp(endpoint);
      let socket = raw;
      let settled = false;
      let reached = false;
      const fail = (error: DnskeeperError): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        socket.destroy();
        raw.destroy();
        if (this.#needs.counters !== undefined) this.#needs.counters.connections.failed++;
        reject(reached && kind.kind === 'tls' ? new EncryptionError(endpoint.host, causeOf(error)) : error);
      };
      const patience = kind.kind === 'tls' && !kind.verify ? HOPE_MS : CONNECT_MS;
      const timer = setTimeout(
        () => fail(new DnskeeperError('DEADLINE', `no connection to ${endpoint.host} within ${patience} ms`)),
        patience,
      );
      const refused = (error: Error): void =>
        fail(new DnskeeperError('IO', `no connection to ${endpoint.host}: ${error.message}`, error));
      raw.once('connect', () => {
        reached = true;
      });
      // The encrypted socket around it would only tell that it was closed.
      raw.on('error', refused);
      if (kind.kind === 'tls') socket = this.#tls(raw, key, endpoint, kind).on('error', refused);
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        refused(new Error('it was closed'));
      });
      socket.once(kind.kind === 'tcp' ? 'connect' : 'secureConnect', () => {
        settled = true;
        clearTimeout(timer);
        this.#count(socket);
        const idle = kind.kind === 'tcp' ? TCP_IDLE_MS : TLS_IDLE_MS;
        const stream = upstreamStream(socket, endpoint.host, idle, () => {
          const kept = this.#kept.get(key);
          if (kept?.stream === stream) this.#forget(key, kept);
        });
        resolve(stream);
      });
    });
  }

  #count(socket: Socket): void {
    const counts = this.#needs.counters?.connections;
    if (counts === undefined) return;
    if (!(socket instanceof TLSSocket)) counts.tcpOpened++;
    else {
      counts.tlsOpened++;
      if (socket.isSessionReused()) counts.tlsResumed++;
    }
  }

  #tcp({ host, port, family, interface: link }: Endpoint): Socket {
    const { bindToLink } = this.#needs;
    if (link === undefined || bindToLink === undefined) return connect({ host, port, family });
    const socket = new Socket({ fd: bindToLink(family, 'tcp', link) });
    return socket.connect({ host, port, family });
  }

  #tls(raw: Socket, key: string, endpoint: Endpoint, kind: StreamKind & { kind: 'tls' }): TLSSocket {
    // Used more than once, because many servers give none on a resumed connection; onlookers who could tie connections
    // together by it (RFC 8446 appendix C.4) see the same addresses anyway, and another network gets none of them.
    const sessions = this.#sessions;
    const session = sessions.get(key);
    const socket = connectTls({
      socket: raw,
      host: endpoint.host.split('%', 1)[0] ?? endpoint.host, // what the certificate is held against without a name
      secureContext: this.#context(kind.verify),
      rejectUnauthorized: kind.verify,
      ...named(kind.name),
      ...(session === undefined ? {} : { session }),
    });
    socket.on('session', (ticket: Buffer) => {
      if (socket.destroyed) return;
      if (sessions.size >= MOST_SESSIONS) sessions.clear();
      sessions.set(key, ticket);
    });
    return socket;
  }

  /** Made once, because reading all authorities takes longer than a handshake. */
  #context(verify: boolean): SecureContext {
    const held = this.#contexts.get(verify);
    if (held !== undefined) return held;
    const ca = verify ? { ca: [...(this.#needs.authorities ?? trusted())] } : {};
    const context = createSecureContext({ minVersion: 'TLSv1.2', ...ca });
    this.#contexts.set(verify, context);
    return context;
  }
}

const keyOf = (endpoint: Endpoint, kind: StreamKind): string => JSON.stringify([endpoint, kind]);

/** What the certificate has to be for; an address is no name that may be sent (RFC 6066 section 3). */
function named(name: string | undefined): { readonly servername?: string; readonly host?: string } {
  if (name === undefined) return {};
  return isIP(name) === 0 ? { servername: name } : { host: name };
}

/** The system's own list, so that an authority an administrator added counts; Node's where there is none. */
function trusted(): readonly string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('bundled');
}

/** What the socket said, rather than what we made of it. */
const causeOf = (error: DnskeeperError): unknown => error.cause ?? error;

/** The connection goes on being made: the next question will want it. */
function unlessGivenUp<T>(work: Promise<T>, signal: StopSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new DnskeeperError('DEADLINE', 'the query was given up'));
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

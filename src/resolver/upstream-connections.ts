import { connect, Socket } from 'node:net';
import { connect as connectTls, getCACertificates, TLSSocket } from 'node:tls';
import { DnskeeperError } from '../core/errors.ts';
import type { Counters } from './statistics.ts';
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
/** Connections to servers at once; more are refused. */
const MOST_CONNECTIONS = 64;
const MOST_SESSIONS = 64;

/** The kept connections to servers: one for each server and kind, made when first wanted. */
export class UpstreamConnections {
  readonly #needs: ConnectionNeeds;
  readonly #open = new Map<string, Promise<UpstreamStream>>();
  readonly #sessions = new Map<string, Buffer>();
  readonly #sockets = new Set<Socket>();
  #authorities: readonly string[] | undefined;
  #closed = false;

  constructor(needs: ConnectionNeeds) {
    this.#needs = needs;
    this.#authorities = needs.authorities;
  }

  /** The connection that is there, or a new one. Rejects with a DnskeeperError when it cannot be made in time. */
  async get(endpoint: Endpoint, kind: StreamKind): Promise<UpstreamStream> {
    const { counters } = this.#needs;
    const key = JSON.stringify([endpoint, kind]);
    const held = this.#open.get(key);
    if (held !== undefined) {
      const stream = await held;
      if (stream.usable) {
        if (counters !== undefined) counters.connections.reused++;
        return stream;
      }
    }
    if (this.#closed) throw new DnskeeperError('IO', 'the resolver is closing');
    const other = this.#open.get(key); // another query may have made one while this one waited
    if (other !== undefined && other !== held) return other;
    if (this.#sockets.size >= MOST_CONNECTIONS) {
      if (counters !== undefined) counters.bounds.connections++;
      throw new DnskeeperError(
        'IO',
        `${MOST_CONNECTIONS} connections to servers are open, which is the most`,
      );
    }
    const making = this.#make(key, endpoint, kind);
    this.#open.set(key, making);
    const forget = (): void => {
      if (this.#open.get(key) === making) this.#open.delete(key);
    };
    making.catch(forget);
    return making;
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#open.clear();
  }

  #make(key: string, endpoint: Endpoint, kind: StreamKind): Promise<UpstreamStream> {
    return new Promise((resolve, reject) => {
      const socket = kind.kind === 'tcp' ? this.#tcp(endpoint) : this.#tls(key, endpoint, kind);
      this.#sockets.add(socket);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        socket.destroy();
        if (this.#needs.counters !== undefined) this.#needs.counters.connections.failed++;
        reject(error);
      };
      const patience = kind.kind === 'tls' && !kind.verify ? HOPE_MS : CONNECT_MS;
      const timer = setTimeout(
        () => fail(new DnskeeperError('DEADLINE', `no connection to ${endpoint.host} within ${patience} ms`)),
        patience,
      );
      socket.once('close', () => this.#sockets.delete(socket));
      const refused = (error: Error): void =>
        fail(new DnskeeperError('IO', `no connection to ${endpoint.host}: ${error.message}`, error));
      socket.once('error', refused);
      socket.once(kind.kind === 'tcp' ? 'connect' : 'secureConnect', () => {
        clearTimeout(timer);
        socket.off('error', refused);
        this.#count(socket);
        const idle = kind.kind === 'tcp' ? TCP_IDLE_MS : TLS_IDLE_MS;
        const stream = upstreamStream(socket, endpoint.host, idle, () => {
          this.#open.delete(key);
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

  #tls(key: string, endpoint: Endpoint, kind: StreamKind & { kind: 'tls' }): TLSSocket {
    const session = this.#sessions.get(key);
    const socket = connectTls({
      socket: this.#tcp(endpoint),
      host: endpoint.host.split('%', 1)[0] ?? endpoint.host, // what the certificate is held against without a name
      minVersion: 'TLSv1.2',
      rejectUnauthorized: kind.verify,
      ...(kind.name === undefined ? {} : { servername: kind.name }),
      ...(kind.verify ? { ca: [...this.#trusted()] } : {}),
      ...(session === undefined ? {} : { session }),
    });
    socket.on('session', (ticket: Buffer) => {
      if (this.#sessions.size >= MOST_SESSIONS) this.#sessions.clear();
      this.#sessions.set(key, ticket);
    });
    return socket;
  }

  /** The system's own list, so that an authority an administrator added counts; Node's where there is none. */
  #trusted(): readonly string[] {
    if (this.#authorities === undefined) {
      const system = getCACertificates('system');
      this.#authorities = system.length > 0 ? system : getCACertificates('bundled');
    }
    return this.#authorities;
  }
}

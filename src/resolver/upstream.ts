import { DnskeeperError } from '../core/errors.ts';
import { formatHost, formatServer, type Server } from '../core/server.ts';
import type { Clock } from '../system/clock.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import type { Query } from './query.ts';
import { type QuestionStyle, repeats, writeQuestion } from './question.ts';
import type { RouteLink } from './routing.ts';
import type { Counters } from './statistics.ts';
import { type StreamKind, UpstreamConnections } from './upstream-connections.ts';
import { askUdp, type BindToLink, type Endpoint } from './upstream-udp.ts';
import { RCODE } from './wire.ts';

/** What asking servers needs. */
export interface UpstreamNeeds {
  readonly clock: Clock;
  /** Absent where the kernel cannot be asked for it; then the routing table alone decides. */
  readonly bindToLink?: BindToLink;
  /** Whether our own sockets stand at an address: asking there would only ask ourselves again. */
  readonly isOwn: (host: string, port: number) => boolean;
  /** The machine's own addresses: what stands there is behind no link. */
  readonly ownAddresses?: () => ReadonlySet<string>;
  /** What links without a setting of their own do. */
  readonly dnsOverTls: () => 'no' | 'opportunistic' | 'yes';
  /** For tests: authorities instead of the system's, and the port of encrypted servers instead of 853. */
  readonly authorities?: readonly string[];
  readonly tlsPort?: number;
  readonly counters?: Counters;
}

const UDP_MS = 2000;
const STREAM_MS = 4000;
/** Datagram sockets to servers at once, one for each question; below the usual limit of 1024 open files. */
const MOST_SOCKETS = 512;
/** How long a server that failed to do something is not asked to do it again. */
const FORGET_MS = 5 * 60_000;
const DEFAULT_TLS_PORT = 853;

/** What a server turned out not to cope with, and when that was. */
interface Limits {
  noEdns?: number;
  noMixedCase?: number;
  noTls?: number;
}

/** Asks single servers, each in the way it copes with. */
export class Upstream {
  readonly #needs: UpstreamNeeds;
  readonly #connections: UpstreamConnections;
  readonly #limits = new Map<string, Limits>();
  #sockets = 0;
  #own: ReadonlySet<string>;

  constructor(needs: UpstreamNeeds) {
    this.#needs = needs;
    this.#connections = new UpstreamConnections(needs);
    this.#own = needs.ownAddresses?.() ?? new Set();
  }

  /** Put a query to one server of a link. Rejects with a DnskeeperError when no answer to it comes. */
  async ask(server: Server, link: RouteLink, query: Query, signal: AbortSignal): Promise<ResponseFacts> {
    if (this.#needs.isOwn(formatHost(server), server.port))
      throw new DnskeeperError(
        'IO',
        `${formatServer(server)} is dnskeeper itself; asking it would go round in circles`,
      );
    const limits = this.#limitsOf(server, link);
    const response = await this.#askOnce(server, link, query, limits, signal);
    const choked = response.rcode === RCODE.FORMERR || response.rcode === RCODE.NOTIMP;
    if (!choked || response.edns !== undefined || this.#holds(limits.noEdns)) return response;
    // A server from before EDNS (RFC 6891 section 7).
    const plain = await this.#askOnce(
      server,
      link,
      query,
      { ...limits, noEdns: this.#needs.clock.now() },
      signal,
    );
    if (plain.rcode !== response.rcode) limits.noEdns = this.#needs.clock.now();
    return plain;
  }

  /** Forget what servers could not do, and look at the machine's addresses anew: the network is another one now. */
  forget(): void {
    this.#limits.clear();
    this.#own = this.#needs.ownAddresses?.() ?? new Set();
  }

  close(): void {
    this.#connections.close();
  }

  #askOnce(
    server: Server,
    link: RouteLink,
    query: Query,
    limits: Limits,
    signal: AbortSignal,
  ): Promise<ResponseFacts> {
    const knob = encryptionOf(server, link, this.#needs.dnsOverTls());
    if (knob === 'yes') return this.#askTls(server, link, query, limits, true, signal);
    if (knob === 'opportunistic') return this.#askMaybeTls(server, link, query, limits, signal);
    return this.#askPlain(server, link, query, limits, signal);
  }

  async #askPlain(
    server: Server,
    link: RouteLink,
    query: Query,
    limits: Limits,
    signal: AbortSignal,
  ): Promise<ResponseFacts> {
    const endpoint = this.#endpointOf(server, link, server.port);
    const mixCase = !this.#holds(limits.noMixedCase);
    const style = { edns: !this.#holds(limits.noEdns), mixCase, padded: false };
    const message = await this.#askUdp(endpoint, query, style, signal);
    if (message !== 'other case') {
      const response = understood(message, server);
      if (!response.truncated) return response;
    }
    const overTcp = await this.#askStream(
      endpoint,
      { kind: 'tcp' },
      query,
      { ...style, mixCase: false },
      signal,
    );
    // Nobody can forge an answer on the connection, so the spelling says whether the server keeps it.
    if (message === 'other case') limits.noMixedCase = this.#needs.clock.now();
    return understood(overTcp, server);
  }

  async #askUdp(
    endpoint: Endpoint,
    query: Query,
    style: QuestionStyle,
    signal: AbortSignal,
  ): Promise<Buffer | 'other case'> {
    if (this.#sockets >= MOST_SOCKETS) {
      if (this.#needs.counters !== undefined) this.#needs.counters.bounds.sockets++;
      throw new DnskeeperError('IO', `${MOST_SOCKETS} questions are on their way, which is the most`);
    }
    const question = writeQuestion(query, style);
    let otherCase = false;
    const accept = (message: Buffer): boolean => {
      const same = repeats(question, query.name.length, message);
      otherCase = same === 'other case';
      return same !== 'no';
    };
    this.#sockets++;
    try {
      const message = await askUdp(endpoint, question, accept, UDP_MS, signal, this.#needs.bindToLink);
      return otherCase ? 'other case' : message;
    } finally {
      this.#sockets--;
    }
  }

  /** Try an encrypted connection to whoever is there; where there is none, ask in the open for a while. */
  async #askMaybeTls(
    server: Server,
    link: RouteLink,
    query: Query,
    limits: Limits,
    signal: AbortSignal,
  ): Promise<ResponseFacts> {
    if (this.#holds(limits.noTls)) return this.#askPlain(server, link, query, limits, signal);
    try {
      return await this.#askTls(server, link, query, limits, false, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      limits.noTls = this.#needs.clock.now();
      return this.#askPlain(server, link, query, limits, signal);
    }
  }

  async #askTls(
    server: Server,
    link: RouteLink,
    query: Query,
    limits: Limits,
    verify: boolean,
    signal: AbortSignal,
  ): Promise<ResponseFacts> {
    const tlsPort = this.#needs.tlsPort ?? DEFAULT_TLS_PORT;
    const port = server.protocol === 'udp' && server.port === 53 ? tlsPort : server.port;
    const name = server.name === undefined ? {} : { name: server.name };
    const style = { edns: !this.#holds(limits.noEdns), mixCase: false, padded: true };
    const kind: StreamKind = { kind: 'tls', verify, ...name };
    return understood(
      await this.#askStream(this.#endpointOf(server, link, port), kind, query, style, signal),
      server,
    );
  }

  /** Over a kept connection; one that breaks just then says nothing about the server, so a new one is tried once. */
  async #askStream(
    endpoint: Endpoint,
    kind: StreamKind,
    query: Query,
    style: QuestionStyle,
    signal: AbortSignal,
  ): Promise<Buffer> {
    for (let tried = 0; ; tried++) {
      const stream = await this.#connections.get(endpoint, kind);
      const question = writeQuestion(query, style);
      const accept = (message: Buffer): boolean => repeats(question, query.name.length, message) !== 'no';
      try {
        return await stream.ask(question, accept, STREAM_MS, signal);
      } catch (error) {
        if (tried > 0 || signal.aborted || stream.usable) throw error;
      }
    }
  }

  #endpointOf(server: Server, link: RouteLink, port: number): Endpoint {
    const { family, kind } = server.address;
    const host = formatHost(server);
    const bound = link.interface !== undefined && kind !== 'loopback' && !this.#own.has(host);
    return { host, port, family, ...(bound ? { interface: link.interface } : {}) };
  }

  #limitsOf(server: Server, link: RouteLink): Limits {
    const key = `${link.key} ${formatServer(server)}`;
    const held = this.#limits.get(key);
    if (held !== undefined) return held;
    if (this.#limits.size >= 4096) this.#limits.clear();
    const limits: Limits = {};
    this.#limits.set(key, limits);
    return limits;
  }

  #holds(since: number | undefined): boolean {
    return since !== undefined && this.#needs.clock.now() - since < FORGET_MS;
  }
}

/** The link's own setting before the general one; a server that is written as encrypted is never asked in the open. */
function encryptionOf(
  server: Server,
  link: RouteLink,
  general: 'no' | 'opportunistic' | 'yes',
): 'no' | 'opportunistic' | 'yes' {
  const own = link.dnsOverTls;
  const knob = own === 'yes' || own === 'no' || own === 'opportunistic' ? own : general;
  return server.protocol === 'tls' ? 'yes' : knob;
}

function understood(message: Buffer, server: Server): ResponseFacts {
  const response = readResponse(message);
  if (response.ok) return response.value;
  throw new DnskeeperError('PROTOCOL', `${formatServer(server)} sent an answer that is ${response.reason}`);
}

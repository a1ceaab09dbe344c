import { formatAddress } from '../core/address.ts';
import { DnskeeperError } from '../core/errors.ts';
import { formatHost, formatServer, linkToAsk, type Server } from '../core/server.ts';
import type { ServerTrouble } from '../core/status.ts';
import type { Clock } from '../system/clock.ts';
import { CircleError, NoRoomError } from './ede.ts';
import { type Encryption, EncryptionError, encryptionOf, type PortalPolicy } from './encryption.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import { type Asked, OwnQuestions } from './own-questions.ts';
import type { Query } from './query.ts';
import { type QuestionStyle, repeats, writeQuestion } from './question.ts';
import type { RouteLink } from './routing.ts';
import { ServerLimits } from './server-limits.ts';
import type { Counters } from './statistics.ts';
import { Stop, type StopSignal } from './stop.ts';
import { type StreamKind, UpstreamConnections } from './upstream-connections.ts';
import { type Asking, type Doubt, UdpQuestions, understood } from './upstream-question.ts';
import type { UpstreamStream } from './upstream-stream.ts';
import { type BindToLink, type Endpoint, nodeDatagrams, type UpstreamDatagrams } from './upstream-udp.ts';
import { OPTION, RCODE, UDP_SIZE } from './wire.ts';

/** What asking servers needs. */
export interface UpstreamNeeds {
  readonly clock: Clock;
  /** Absent where the kernel cannot be asked for it; then the routing table alone decides. */
  readonly bindToLink?: BindToLink;
  /** How servers are asked over UDP; by Node's own sockets where left out. */
  readonly datagrams?: UpstreamDatagrams;
  /** Whether our own sockets stand at an address: asking there would only ask ourselves again. */
  readonly isOwn: (host: string, port: number) => boolean;
  /** The machine's own addresses: what stands there is behind no link. */
  readonly ownAddresses?: () => ReadonlySet<string>;
  /** What links without a setting of their own do. */
  readonly dnsOverTls: () => Encryption;
  /** What strict encryption does behind a captive portal; `strict` where left out. */
  readonly portal?: () => PortalPolicy;
  /** For tests: authorities instead of the system's, and ports of encrypted and of plain servers instead of 853 and 53. */
  readonly authorities?: readonly string[];
  readonly tlsPort?: number;
  readonly plainPort?: number;
  readonly counters?: Counters;
}

const STREAM_MS = 4000;
const MOST_CONNECTIONS_TRIED = 3;
/** Addresses that come and go by themselves (RFC 8981) are noticed by the first question after this long. */
const LOOK_AGAIN_MS = 5000;
/** After this only a small answer is wanted: some ways lose larger ones (RFC 6891 section 6.2.5). */
const SMALL_AFTER_MS = 1000;
const SMALL_SIZE = 512;
/** After this a question goes without EDNS to a server that never answered one with it: some ways lose them all. */
const PLAIN_AFTER_MS = 1500;
const DEFAULT_TLS_PORT = 853;
const DEFAULT_PORT = 53;

/** Asks single servers, each in the way it copes with. */
export class Upstream {
  readonly #needs: UpstreamNeeds;
  readonly #datagrams: UpstreamDatagrams;
  readonly #connections: UpstreamConnections;
  readonly #udp: UdpQuestions;
  readonly #questions = new OwnQuestions();
  readonly #limits: ServerLimits;
  #own: ReadonlySet<string>;
  #lookedAt: number;

  constructor(needs: UpstreamNeeds) {
    this.#needs = needs;
    this.#limits = new ServerLimits(needs.clock, this.#questions);
    this.#datagrams = needs.datagrams ?? nodeDatagrams(needs.bindToLink);
    this.#connections = new UpstreamConnections(needs);
    this.#udp = new UdpQuestions(needs, this.#datagrams, this.#questions);
    this.#own = needs.ownAddresses?.() ?? new Set();
    this.#lookedAt = needs.clock.elapsed();
  }

  /**
   * Put a query to one server of a link. Rejects with a DnskeeperError when no answer to it comes, a NoRoomError among them;
   * `again` and `waitedMs` as in `Attempt`.
   */
  async ask(
    server: Server,
    link: RouteLink,
    query: Query,
    signal: StopSignal,
    again = false,
    waitedMs = 0,
  ): Promise<ResponseFacts> {
    this.#lookAtAddresses();
    const asking = {
      server,
      link,
      query,
      limits: this.#limits.of(server, link.key),
      signal,
      again,
      waitedMs,
    };
    const { limits } = asking;
    if (this.#needs.isOwn(hostOf(server), server.port)) {
      const text = `${formatServer(server)} (${link.key}) is dnskeeper itself, so it is not asked.`;
      limits.trouble = { kind: 'circle', text };
      throw circle(server, 'is dnskeeper itself');
    }
    if (this.#limits.isCircle(limits)) throw circle(server, 'sends questions back to dnskeeper');
    const response = await this.#askOnce(asking, !this.#limits.holds(limits.noEdns));
    // What it says now is only our own refusal.
    if (this.#limits.isCircle(limits)) throw circle(server, 'sends questions back to dnskeeper');
    if (limits.trouble?.kind === 'circle') delete limits.trouble;
    const choked = response.rcode === RCODE.FORMERR || response.rcode === RCODE.NOTIMP;
    if (!choked || response.edns !== undefined || this.#limits.holds(limits.noEdns)) return response;
    // A server from before EDNS (RFC 6891 section 7).
    const plain = await this.#askOnce(asking, false);
    if (plain.rcode !== response.rcode) limits.noEdns = this.#needs.clock.elapsed();
    return plain;
  }

  /**
   * Whether a client's query is a question of our own that came back: then its server leads in a circle, and is not
   * asked for a while. Tells whom we had asked; undefined for anybody else's query.
   */
  cameBack(query: Query): Asked | undefined {
    const asked = this.#questions.find(query);
    if (asked === undefined) return undefined;
    const limits = this.#limits.find(asked.link, formatServer(asked.server));
    if (limits === undefined) return asked;
    limits.circle = this.#needs.clock.elapsed();
    const text = `${formatServer(asked.server)} (${asked.link}) sends our own questions back to us, so it is not asked; it must not forward to this machine.`;
    limits.trouble = { kind: 'circle', text };
    return asked;
  }

  /** What is wrong with a server, as `formatServer` writes it, beyond being slow or silent. */
  troubleOf(link: string, server: string): ServerTrouble | undefined {
    return this.#limits.find(link, server)?.trouble;
  }

  /** Forget what servers could not do and what they could know us by: the network is another one now. */
  forget(): void {
    this.#limits.forget();
    this.#connections.renew();
    this.#datagrams.renew();
    this.#own = this.#needs.ownAddresses?.() ?? new Set();
    this.#lookedAt = this.#needs.clock.elapsed();
  }

  close(): void {
    this.#connections.close();
  }

  #askOnce(asking: Asking, edns: boolean): Promise<ResponseFacts> {
    const { server, link } = asking;
    const portal = this.#needs.portal?.() ?? 'strict';
    const encryption = encryptionOf(server, link, this.#needs.dnsOverTls(), portal);
    if (encryption === 'yes') return this.#askTls(asking, edns, true);
    if (encryption === 'opportunistic') return this.#askMaybeTls(asking, edns);
    return this.#askPlain(asking, edns);
  }

  async #askPlain(asking: Asking, edns: boolean): Promise<ResponseFacts> {
    const { server, link, limits } = asking;
    const { clock, plainPort = DEFAULT_PORT } = this.#needs;
    const ownPort = server.protocol === 'udp' && server.port !== DEFAULT_PORT;
    const endpoint = this.#endpointOf(server, link, ownPort ? server.port : plainPort);
    const mixCase = !this.#limits.holds(limits.noMixedCase);
    const withEdns = edns && !isForPlain(asking);
    const style = (): QuestionStyle => ({
      edns: withEdns,
      mixCase,
      padded: false,
      cookie: withEdns ? limits.cookie.begin(clock.elapsed()) : undefined,
      udpSize: asking.waitedMs >= SMALL_AFTER_MS ? SMALL_SIZE : UDP_SIZE,
    });
    const first = style();
    let heard = await this.#udp.ask(endpoint, asking, first);
    if (edns && heard !== 'flood') this.#limits.noteAnswered(limits, withEdns);
    // The server has a new cookie for us, or chokes on any: both are settled by asking once more.
    const again = first.cookie !== undefined && typeof heard !== 'string' && isAboutCookies(heard);
    if (again) heard = await this.#udp.ask(endpoint, asking, style());
    if (typeof heard !== 'string' && !heard.truncated && heard.rcode !== RCODE.BADCOOKIE) return heard;
    const cookie = heard === 'no cookie' ? limits.cookie.client : undefined;
    const overTcp = { edns, mixCase: false, padded: false, cookie };
    let response: ResponseFacts;
    try {
      response = await this.#askStream(endpoint, { kind: 'tcp' }, asking, overTcp);
    } catch (error) {
      response = await this.#askWithoutMarks(endpoint, asking, edns, heard, error);
      if (heard === 'no cookie') limits.cookie.stop(clock.elapsed());
    }
    if (heard === 'other case') limits.noMixedCase = clock.elapsed();
    if (response.truncated) throw stillTruncated(server);
    if (cookie !== undefined && limits.cookie.judge(response.edns?.options ?? []) !== 'good')
      limits.cookie.stop(clock.elapsed());
    return response;
  }

  /**
   * A server that gives back neither capitals nor cookies, and that nobody can connect to, is asked once more without
   * either: it would be no use at all otherwise. A forger gains the capitals by it, where he had guessed port and id, and
   * has to guess both again.
   */
  async #askWithoutMarks(
    endpoint: Endpoint,
    asking: Asking,
    edns: boolean,
    heard: ResponseFacts | Doubt,
    error: unknown,
  ): Promise<ResponseFacts> {
    const marked = heard === 'other case' || heard === 'no cookie';
    if (!marked || asking.signal.aborted || error instanceof NoRoomError) throw error;
    const plainest = await this.#udp.ask(endpoint, asking, { edns, mixCase: false, padded: false });
    if (typeof plainest === 'string') throw error;
    return plainest;
  }

  /**
   * Try an encrypted connection to whoever is there; where there is none, ask in the open, and look after a while whether
   * there is one now without keeping anybody waiting for it.
   */
  async #askMaybeTls(asking: Asking, edns: boolean): Promise<ResponseFacts> {
    const { limits, signal } = asking;
    if (limits.noTls !== undefined) {
      if (!this.#limits.holds(limits.noTls)) this.#lookForTls(asking);
      return this.#askPlain(asking, edns);
    }
    try {
      return await this.#askTls(asking, edns, false);
    } catch (error) {
      // Our own want of room tells nothing of the server, and is no reason to ask it in the open.
      if (signal.aborted || error instanceof NoRoomError) throw error;
      limits.noTls = this.#needs.clock.elapsed();
      return this.#askPlain(asking, edns);
    }
  }

  #lookForTls(asking: Asking): void {
    const { limits } = asking;
    limits.noTls = this.#needs.clock.elapsed();
    const { endpoint, kind } = this.#tlsAt(asking, false);
    this.#connections.get(endpoint, kind, new Stop()).then(
      () => delete limits.noTls,
      () => {},
    );
  }

  #tlsAt(
    { server, link }: Asking,
    verify: boolean,
  ): { readonly endpoint: Endpoint; readonly kind: StreamKind } {
    const { tlsPort = DEFAULT_TLS_PORT } = this.#needs;
    const port = server.protocol === 'udp' && server.port === DEFAULT_PORT ? tlsPort : server.port;
    const name = server.name === undefined ? {} : { name: server.name };
    return { endpoint: this.#endpointOf(server, link, port), kind: { kind: 'tls', verify, ...name } };
  }

  async #askTls(asking: Asking, edns: boolean, verify: boolean): Promise<ResponseFacts> {
    const { limits } = asking;
    const { endpoint, kind } = this.#tlsAt(asking, verify);
    try {
      const style = { edns, mixCase: false, padded: true };
      const response = await this.#askStream(endpoint, kind, asking, style);
      if (response.truncated) throw stillTruncated(asking.server);
      if (limits.trouble?.kind !== 'circle') delete limits.trouble;
      return response;
    } catch (error) {
      if (verify && error instanceof EncryptionError) limits.trouble = encryptionTrouble(asking, error);
      throw error;
    }
  }

  /**
   * Over a kept connection. One that breaks just then says nothing about the server, so a new one is tried; and where
   * servers end theirs with each answer, one for this question alone.
   */
  async #askStream(
    endpoint: Endpoint,
    kind: StreamKind,
    { server, query, signal }: Asking,
    style: QuestionStyle,
  ): Promise<ResponseFacts> {
    for (let tried = 1; ; tried++) {
      const alone = tried === MOST_CONNECTIONS_TRIED;
      const stream = alone
        ? await this.#connections.alone(endpoint, kind, signal)
        : await this.#connections.get(endpoint, kind, signal);
      const question = writeQuestion(query, { ...style, keepalive: true });
      const accept = (message: Buffer): boolean => repeats(question, query.name.length, message) !== 'no';
      const asked = stream.ask(question, accept, STREAM_MS, signal);
      if (alone) stream.retire();
      try {
        const response = understood(readResponse(await asked), server);
        obeyKeepalive(stream, response);
        return response;
      } catch (error) {
        if (alone || signal.aborted || stream.usable || (tried > 1 && !stream.answered)) throw error;
      }
    }
  }

  #endpointOf(server: Server, link: RouteLink, port: number): Endpoint {
    const { family, kind } = server.address;
    const through = linkToAsk(server);
    const host = hostOf(server);
    const name = through ?? link.interface;
    const bound = name !== undefined && kind !== 'loopback' && !this.#own.has(host);
    return { host, port, family, ...(bound ? { interface: name } : {}) };
  }

  /** A server must not know us again by our cookie after our address has changed (RFC 7873 section 8). */
  #lookAtAddresses(): void {
    const { clock, ownAddresses } = this.#needs;
    if (ownAddresses === undefined || Math.abs(clock.elapsed() - this.#lookedAt) < LOOK_AGAIN_MS) return;
    this.#lookedAt = clock.elapsed();
    const now = ownAddresses();
    if (isSame(now, this.#own)) return;
    this.#own = now;
    this.#datagrams.renew();
    this.#limits.forget();
  }
}

const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((address) => b.has(address));

/** The address to ask at; a zone belongs to it only where it says which of several it is. */
const hostOf = (server: Server): string =>
  linkToAsk(server) === undefined ? formatHost(server) : formatAddress(server.address);

const circle = (server: Server, why: string): CircleError =>
  new CircleError('IO', `asking ${formatServer(server)} would go round in circles: it ${why}`);

const stillTruncated = (server: Server): DnskeeperError =>
  new DnskeeperError('PROTOCOL', `${formatServer(server)} cuts its answers short over a connection too`);

/** Whether a copy goes without EDNS, which nobody misses but who wants signatures or sent options of his own. */
const isForPlain = ({ waitedMs, query, limits }: Asking): boolean =>
  waitedMs >= PLAIN_AFTER_MS &&
  limits.ednsAnswered !== true &&
  !query.dnssecOk &&
  (query.edns?.options.length ?? 0) === 0;

/** A code by which a server answers to our cookie rather than to the question. */
const isAboutCookies = ({ rcode, edns }: ResponseFacts): boolean =>
  edns !== undefined && (rcode === RCODE.BADCOOKIE || rcode === RCODE.FORMERR);

function encryptionTrouble({ server, link }: Asking, { fault, message }: EncryptionError): ServerTrouble {
  return {
    kind: fault,
    text: `${formatServer(server)} (${link.key}) cannot be asked, because encryption is strict: ${message}.`,
  };
}

/** The server says for how long it keeps an idle connection, in tenths of a second (RFC 7828). */
function obeyKeepalive(stream: UpstreamStream, { edns }: ResponseFacts): void {
  const data = edns?.options.find(({ code }) => code === OPTION.keepalive)?.data;
  if (data?.length === 2) stream.keep(data.readUInt16BE(0) * 100);
}

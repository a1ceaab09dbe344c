import { formatServer } from '../core/server.ts';
import { aliasLeftOpen, aliasThatLeaves, answerWithAlias, isCircle, queryFor } from './aliases.ts';
import { EDE, extendedErrorOf } from './ede.ts';
import { forClient, responseTo } from './message.ts';
import type { ResponseFacts } from './message-read.ts';
import type { Answer, Answerer, AnswerOrigin, Query, Stage } from './query.ts';
import { type Queue, Queued } from './queue.ts';
import type { Route, RouteLink, Routing } from './routing.ts';
import type { ServerChoice } from './server-choice.ts';
import type { Chosen } from './server-race.ts';
import { Stop, type StopSignal } from './stop.ts';
import type { Upstream } from './upstream.ts';
import { RCODE } from './wire.ts';

/** What forwarding needs. */
export interface ForwardNeeds {
  /** The routes in force. */
  readonly routing: () => Routing;
  readonly choice: ServerChoice;
  readonly upstream: Upstream;
  /** What the machine answers itself, which an alias may lead to as well. */
  readonly own: Stage;
  /** Where a question is noted while it is under way. */
  readonly underWay: Queue<UnderWay>;
  /** A link's servers have all failed to answer. */
  readonly unanswered?: (link: RouteLink) => void;
  /** An answer of this route holds what another one said, so it has to go when that one does. */
  readonly mixed?: (route: string, other: string) => void;
}

/** A question and the route that it went. */
export class UnderWay extends Queued {
  readonly query: Query;
  readonly route: string;
  /** Whether the route has ended, so that the question is asked anew, where its name goes then. */
  ended = false;
  /** Given when the route ends, for whoever asked over a network that is gone would wait for nobody, or nobody waits. */
  readonly stop = new Stop();

  constructor(query: Query, route: string) {
    super();
    this.query = query;
    this.route = route;
  }

  /** The route has ended. */
  end(): void {
    this.ended = true;
    this.stop.abort();
  }
}

/** When one of several links says that a name does not exist, the others get this long to know better. */
const OTHERS_MS = 400;
/**
 * NetworkManager takes a network's addresses away up to 100 ms before it says so, on a busy machine later; until then asking
 * there fails at once.
 */
const MOVE_MS = 500;
/** As many as resolved follows. */
const MOST_REDIRECTS = 16;

/** The last stage: ask the servers of the links that the name's route leads to. */
export function forwarder(needs: ForwardNeeds): Answerer {
  return (query, signal) => forward(needs, query, signal, MOST_REDIRECTS);
}

async function forward(
  needs: ForwardNeeds,
  query: Query,
  signal: StopSignal,
  redirects: number,
): Promise<Answer> {
  const route = needs.routing().routeOf(query.name, query.type, query.wish);
  if (typeof route === 'string') return unasked(query, route);
  const noted = new UnderWay(query, route.key);
  const { stop } = noted;
  const giveUp = (): void => stop.abort();
  if (signal.aborted) giveUp();
  else signal.addEventListener('abort', giveUp);
  const started = performance.now();
  needs.underWay.add(noted);
  try {
    const { chosen, link } = await askRoute(needs, route, query, stop);
    const { server, tookMs } = chosen;
    const response = believed(needs, query, chosen);
    const origin = {
      kind: 'upstream',
      route: route.key,
      server: `${formatServer(server)} (${link.key})`,
      tookMs,
    } as const;
    const followed =
      response.aliases.length === 0
        ? undefined
        : await redirected(needs, route, query, response, origin, signal, redirects);
    if (noted.ended && redirects > 0) return forward(needs, query, signal, redirects - 1);
    return followed ?? new Forwarded(query, response, origin);
  } catch (error) {
    if (signal.aborted) throw error;
    if (redirects > 0 && (await hasEnded(noted, started + MOVE_MS - performance.now())))
      return forward(needs, query, signal, redirects - 1);
    return failure(query, route, extendedErrorOf(error));
  } finally {
    needs.underWay.delete(noted);
    signal.removeEventListener('abort', giveUp);
  }
}

/** Whether the route of a question ends within some milliseconds, or has ended; when nobody waits any more, neither do we. */
function hasEnded(noted: UnderWay, ms: number): Promise<boolean> {
  const { stop } = noted;
  if (stop.aborted || ms <= 0) return Promise.resolve(noted.ended);
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', settle);
      resolve(noted.ended);
    };
    const timer = setTimeout(settle, ms);
    stop.addEventListener('abort', settle);
  });
}

/** A server's answer. Its bytes are made when they are asked for, because the cache makes others for each client. */
class Forwarded implements Answer {
  readonly origin: AnswerOrigin;
  readonly response: ResponseFacts;
  readonly #query: Query;
  #wire: Buffer | undefined;

  constructor(query: Query, response: ResponseFacts, origin: AnswerOrigin) {
    this.origin = origin;
    this.response = response;
    this.#query = query;
  }

  get wire(): Buffer {
    this.#wire ??= forClient(this.#query, this.response);
    return this.#wire;
  }
}

/**
 * An alias that leads out of the route is asked for anew where it belongs: a public server's word about a VPN's name,
 * or the reverse, is worth nothing. DNSSEC's users check and follow by themselves, on records as they were signed.
 * And where a server stopped at an alias that it knows nothing about, the rest is asked for.
 */
async function redirected(
  needs: ForwardNeeds,
  route: Route,
  query: Query,
  response: ResponseFacts,
  origin: AnswerOrigin & { readonly kind: 'upstream' },
  signal: StopSignal,
  redirects: number,
): Promise<Answer | undefined> {
  const leaves = (name: Buffer): boolean => {
    const other = needs.routing().routeOf(name, query.type, query.wish);
    return typeof other !== 'string' && other.key !== route.key;
  };
  const leaving = query.dnssecOk ? undefined : aliasThatLeaves(response, leaves);
  const at = leaving ?? aliasLeftOpen(response);
  if (at === undefined) return undefined;
  if (redirects === 0 || isCircle(query, response)) {
    const text = 'more aliases than anybody follows';
    return failure(query, route, { code: EDE.other, text });
  }
  const target = queryFor(query, at.target);
  const follow = needs.own((next, stop) => forward(needs, next, stop, redirects - 1));
  const rest = await follow(target, signal);
  if ('route' in rest.origin && rest.origin.route !== undefined) needs.mixed?.(route.key, rest.origin.route);
  return { wire: answerWithAlias(query, response, at, target, rest.wire), origin };
}

/**
 * What a server says about having validated counts as far as the way to it: clients that only read the AD bit get it
 * where all networks are to be trusted with it or the server runs on this machine. Those that set DO check for themselves.
 */
function believed(needs: ForwardNeeds, query: Query, { response, server }: Chosen): ResponseFacts {
  const trusted = query.dnssecOk || server.address.kind === 'loopback' || needs.routing().trustAd;
  return trusted || !response.authenticData ? response : { ...response, authenticData: false };
}

/** All links of a route at once: the first that has something wins, and "no such name" only when nobody knows better. */
function askRoute(needs: ForwardNeeds, route: Route, query: Query, signal: StopSignal): Promise<Heard> {
  const { choice, upstream } = needs;
  const askLink = (link: RouteLink, enough?: StopSignal): Promise<Heard> =>
    choice
      .ask(
        link.key,
        link.servers,
        (server, given, ...copy) => upstream.ask(server, link, query, given, ...copy),
        signal,
        enough,
      )
      .then(
        (chosen) => ({ chosen, link }),
        (error: unknown) => {
          needs.unanswered?.(link);
          throw error;
        },
      );
  const [only] = route.links;
  if (only !== undefined && route.links.length === 1) return askLink(only);
  const enough = new Stop();
  return firstGood(route.links.map((link) => askLink(link, enough))).finally(() => enough.abort());
}

type Heard = { readonly chosen: Chosen; readonly link: RouteLink };

function firstGood(asked: readonly Promise<Heard>[]): Promise<Heard> {
  return new Promise((resolve, reject) => {
    let open = asked.length;
    let second: Heard | undefined;
    let timer: NodeJS.Timeout | undefined;
    let failed: unknown;
    const settle = (): void => {
      clearTimeout(timer);
      if (second === undefined) reject(failed);
      else resolve(second);
    };
    const heard = (one: Heard): void => {
      open--;
      const { rcode } = one.chosen.response;
      if (rcode === RCODE.NOERROR) {
        second = one;
        settle();
        return;
      }
      if (second === undefined || rcode === RCODE.NXDOMAIN) second = one;
      if (rcode === RCODE.NXDOMAIN) timer ??= setTimeout(settle, OTHERS_MS);
      if (open === 0) settle();
    };
    for (const one of asked)
      one.then(heard, (error: unknown) => {
        open--;
        failed = error;
        if (open === 0) settle();
      });
  });
}

/** Names that no server is asked for: this is an answer of our own, and nothing left the machine. */
function unasked(query: Query, why: 'nobody' | 'not here'): Answer {
  if (why === 'not here') {
    const text = 'not a name for DNS servers unless a link has it as a domain';
    return {
      wire: responseTo(query, { rcode: RCODE.NXDOMAIN, ede: { code: EDE.filtered, text } }),
      origin: { kind: 'local' },
    };
  }
  const text = 'no link has servers for this name';
  return {
    wire: responseTo(query, { rcode: RCODE.REFUSED, ede: { code: EDE.notReady, text } }),
    origin: { kind: 'failure', route: undefined },
  };
}

function failure(
  query: Query,
  route: Route,
  { code, text, circle }: ReturnType<typeof extendedErrorOf>,
): Answer {
  return {
    wire: responseTo(query, { rcode: RCODE.SERVFAIL, ede: { code, text } }),
    origin: { kind: 'failure', route: route.key, ...(circle === undefined ? {} : { circle }) },
  };
}

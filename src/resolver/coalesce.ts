import { cacheKey, sharedForm } from './cache-key.ts';
import { forClient } from './message.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import type { Answer, Query, Stage } from './query.ts';

/** What `coalesce` is made with. */
export interface CoalesceOptions {
  /** The route that a query goes by now; only questions on one route share an answer. */
  readonly routeKeyOf: (query: Query) => string;
  /** How many different questions may be under way, and how many clients may wait for one; beyond that each asks alone. */
  readonly most?: number;
}

const MOST = 4096;

interface Flight {
  readonly answer: Promise<Answer>;
  readonly abort: AbortController;
  waiting: number;
}

/** Let identical questions that are under way at the same time share one query to the servers. */
export function coalesce({ routeKeyOf, most = MOST }: CoalesceOptions): Stage {
  return (next) => {
    const flights = new Map<string, Flight>();

    function depart(key: string, shared: Query): Flight {
      const abort = new AbortController();
      const answer = next(shared, abort.signal);
      const flight: Flight = { answer, abort, waiting: 0 };
      flights.set(key, flight);
      const land = (): void => {
        if (flights.get(key) === flight) flights.delete(key);
      };
      answer.then(land, land);
      return flight;
    }

    return async (query, signal) => {
      const shared = sharedForm(query);
      if (shared === undefined) return next(query, signal);
      const key = cacheKey(query, `${query.service} ${routeKeyOf(query)}`);
      const known = flights.get(key);
      if ((known === undefined && flights.size >= most) || (known?.waiting ?? 0) >= most)
        return next(query, signal);
      const flight = known ?? depart(key, shared);
      flight.waiting++;
      try {
        const answer = await unlessAborted(flight.answer, signal);
        // What the cache asks is in the shared form already.
        return known === undefined && shared === query ? answer : answerFor(query, answer);
      } finally {
        flight.waiting--;
        if (flight.waiting === 0) {
          // The last client has gone: nobody is to hear the answer. When it is there already this does nothing.
          if (flights.get(key) === flight) flights.delete(key);
          flight.abort.abort(signal.reason);
        }
      }
    };
  };
}

function answerFor(query: Query, answer: Answer): Answer {
  const facts = factsOf(answer);
  return facts === undefined ? answer : { ...answer, wire: forClient(query, facts) };
}

function factsOf(answer: Answer): ResponseFacts | undefined {
  const reading = readResponse(answer.wire);
  return reading.ok ? reading.value : undefined;
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

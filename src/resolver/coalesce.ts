import { cacheKey, sharedForm } from './cache-key.ts';
import { forClient } from './message.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import type { Answer, Query, Stage } from './query.ts';
import { Stop } from './stop.ts';

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
  readonly stop: Stop;
  waiting: number;
  landed: boolean;
}

/** Let identical questions that are under way at the same time share one query to the servers. */
export function coalesce({ routeKeyOf, most = MOST }: CoalesceOptions): Stage {
  return (next) => {
    const flights = new Map<string, Flight>();

    function depart(key: string, shared: Query): Flight {
      const stop = new Stop();
      const answer = next(shared, stop);
      const flight: Flight = { answer, stop, waiting: 0, landed: false };
      flights.set(key, flight);
      const land = (): void => {
        flight.landed = true;
        if (flights.get(key) === flight) flights.delete(key);
      };
      answer.then(land, land);
      return flight;
    }

    /** The last client has gone: nobody is to hear the answer. */
    function leave(key: string, flight: Flight): void {
      flight.waiting--;
      if (flight.waiting > 0 || flight.landed) return;
      if (flights.get(key) === flight) flights.delete(key);
      flight.stop.abort();
    }

    return (query, signal) => {
      const shared = sharedForm(query);
      if (shared === undefined) return next(query, signal);
      const key = cacheKey(query, `${query.service} ${routeKeyOf(query)}`);
      const known = flights.get(key);
      if ((known === undefined && flights.size >= most) || (known?.waiting ?? 0) >= most)
        return next(query, signal);
      const flight = known ?? depart(key, shared);
      flight.waiting++;
      // What the cache asks is in the shared form already.
      const own = known === undefined && shared === query;
      return new Promise((resolve, reject) => {
        const end = (): void => {
          signal.removeEventListener('abort', stop);
          leave(key, flight);
        };
        const stop = (): void => {
          end();
          reject(signal.reason);
        };
        if (signal.aborted) return stop();
        signal.addEventListener('abort', stop, ONCE);
        flight.answer
          .then((answer) => {
            resolve(own ? answer : answerFor(query, answer));
            if (!signal.aborted) end();
          })
          .catch((error: unknown) => {
            reject(error);
            if (!signal.aborted) end();
          });
      });
    };
  };
}

const ONCE = { once: true };

function answerFor(query: Query, answer: Answer): Answer {
  const facts = factsOf(answer);
  return facts === undefined ? answer : { ...answer, wire: forClient(query, facts) };
}

function factsOf(answer: Answer): ResponseFacts | undefined {
  if (answer.response !== undefined) return answer.response;
  const reading = readResponse(answer.wire);
  return reading.ok ? reading.value : undefined;
}

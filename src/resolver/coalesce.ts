import { randomInt } from 'node:crypto';
import { ByHash, Hashed, hashBytes } from './by-hash.ts';
import { sharedForm } from './cache-key.ts';
import { forClient } from './message.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import type { Answer, Answerer, Query, Stage } from './query.ts';
import { Stop } from './stop.ts';

/** What `coalesce` is made with. */
export interface CoalesceOptions {
  /** The route that a query goes by now; only questions on one route share an answer. */
  readonly routeKeyOf: (query: Query) => string;
  /** How many different questions may be under way, and how many clients may wait for one; beyond that each asks alone. */
  readonly most?: number;
}

const MOST = 4096;

/** One question on its way for all who wait for it. */
class Flight extends Hashed {
  readonly query: Query;
  readonly route: string;
  readonly stop = new Stop();
  readonly answer: Promise<Answer>;
  waiting = 0;
  landed = false;

  constructor(hash: number, query: Query, route: string, next: Answerer) {
    super(hash);
    this.query = query;
    this.route = route;
    this.answer = next(query, this.stop);
  }
}

/** Let identical questions that are under way at the same time share one query to the servers. */
export function coalesce({ routeKeyOf, most = MOST }: CoalesceOptions): Stage {
  const seed = randomInt(2 ** 32);
  return (next) => {
    const flights = new ByHash<Flight>();

    function depart(hash: number, shared: Query, route: string): Flight {
      const flight = new Flight(hash, shared, route, next);
      flights.add(flight);
      const land = (): void => {
        flight.landed = true;
        flights.delete(flight);
      };
      flight.answer.then(land, land);
      return flight;
    }

    /** The last client has gone: nobody is to hear the answer. */
    function leave(flight: Flight): void {
      flight.waiting--;
      if (flight.waiting > 0 || flight.landed) return;
      flights.delete(flight);
      flight.stop.abort();
    }

    return (query, signal) => {
      const shared = sharedForm(query);
      if (shared === undefined) return next(query, signal);
      const route = routeKeyOf(query);
      const hash = hashBytes(query.name, 0, query.name.length, seed ^ query.type);
      const known = flights.find(hash, (flight) => flight.route === route && isSame(flight.query, query));
      if ((known === undefined && flights.size >= most) || (known?.waiting ?? 0) >= most)
        return next(query, signal);
      const flight = known ?? depart(hash, shared, route);
      flight.waiting++;
      // What the cache asks is in the shared form already.
      const own = known === undefined && shared === query;
      return new Promise((resolve, reject) => {
        const end = (): void => {
          signal.removeEventListener('abort', stop);
          leave(flight);
        };
        const stop = (): void => {
          end();
          reject(signal.reason);
        };
        if (signal.aborted) return stop();
        signal.addEventListener('abort', stop, ONCE);
        const fail = (error: unknown): void => {
          reject(error);
          if (!signal.aborted) end();
        };
        flight.answer.then((answer) => {
          try {
            resolve(own ? answer : answerFor(query, answer));
          } catch (error) {
            return fail(error);
          }
          if (!signal.aborted) end();
        }, fail);
      });
    };
  };
}

/** Whether two questions in the shared form, or that could be brought into it, have the same answer by the same route. */
const isSame = (a: Query, b: Query): boolean =>
  a.type === b.type &&
  a.dnssecOk === b.dnssecOk &&
  a.checkingDisabled === b.checkingDisabled &&
  a.service === b.service &&
  a.name.equals(b.name);

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

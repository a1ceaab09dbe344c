import { responseTo } from '../../src/resolver/message.ts';
import type { Answer, Answerer, Query } from '../../src/resolver/query.ts';

/** Servers under a test's hand: every question waits for `answer` or `fail`. */
export interface FakeServers {
  readonly ask: Answerer;
  /** The questions so far. */
  readonly asked: readonly Query[];
  /** How many were given up by those who asked. */
  readonly aborted: number;
  /** Answer the oldest question that waits. */
  answer(wire: (query: Query) => Buffer, origin?: Answer['origin']): Promise<void>;
  /** Answer all questions from now on at once. */
  answerAlways(wire: (query: Query) => Buffer, origin?: Answer['origin']): void;
}

/** An answer with addresses. */
export const addresses =
  (ttl: number, ...last: number[]) =>
  (query: Query): Buffer =>
    responseTo(query, {
      rcode: 0,
      authenticData: true,
      answers: last.map((byte) => ({ type: 1, ttl, data: Buffer.of(192, 0, 2, byte) })),
    });

const UPSTREAM: Answer['origin'] = { kind: 'upstream', route: 'home', server: '192.0.2.53', tookMs: 1 };

/** Servers that answer when told. */
export function fakeServers(): FakeServers {
  const asked: Query[] = [];
  const waiting: { readonly query: Query; readonly resolve: (answer: Answer) => void }[] = [];
  let always: ((query: Query) => Answer) | undefined;
  let aborted = 0;
  return {
    asked,
    get aborted() {
      return aborted;
    },
    ask(query, signal) {
      asked.push(query);
      if (always !== undefined) return Promise.resolve(always(query));
      return new Promise((resolve, reject) => {
        waiting.push({ query, resolve });
        signal.addEventListener('abort', () => {
          aborted++;
          reject(signal.reason);
        });
      });
    },
    async answer(wire, origin = UPSTREAM) {
      const first = waiting.shift();
      if (first === undefined) throw new Error('nobody asked');
      first.resolve({ wire: wire(first.query), origin });
      await new Promise((resolve) => setImmediate(resolve));
    },
    answerAlways(wire, origin = UPSTREAM) {
      always = (query) => ({ wire: wire(query), origin });
    },
  };
}

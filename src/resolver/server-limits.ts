import { formatServer, type Server } from '../core/server.ts';
import type { ServerTrouble } from '../core/status.ts';
import type { Clock } from '../system/clock.ts';
import { ServerCookie } from './cookies.ts';
import type { OwnQuestions } from './own-questions.ts';

/**
 * What was found about one server of one link beside how quick it is: when it did not cope, by a clock that nobody can
 * set, and what is wrong.
 */
export interface Limits {
  cookie: ServerCookie;
  noEdns?: number;
  /** A question with EDNS was answered over UDP. */
  ednsAnswered?: true;
  /** When a question was first answered without EDNS of which copies with it were lost. */
  plainAnswered?: number;
  noMixedCase?: number;
  noTls?: number;
  circle?: number;
  trouble?: ServerTrouble;
}

/** How long a server that failed to do something is not asked to do it again. */
const FORGET_MS = 5 * 60_000;
/** How long a server that sent our question back to us is not asked anything. */
const CIRCLE_MS = 60_000;
/** No question is under way for so long. */
const QUESTION_MS = 5000;
const MOST_SERVERS = 4096;

/** What was found about all servers over the networks of now; `questions` learns the cookies that they get. */
export class ServerLimits {
  readonly #clock: Clock;
  readonly #questions: OwnQuestions;
  readonly #held = new Map<string, Limits>();

  constructor(clock: Clock, questions: OwnQuestions) {
    this.#clock = clock;
    this.#questions = questions;
  }

  /** Of one server of a link, which may be new. */
  of(server: Server, link: string): Limits {
    const key = `${link} ${formatServer(server)}`;
    const held = this.#held.get(key);
    if (held !== undefined) return held;
    if (this.#held.size >= MOST_SERVERS) this.#held.clear();
    const limits: Limits = { cookie: new ServerCookie(FORGET_MS) };
    this.#questions.noteCookie(limits.cookie.client, { link, server });
    this.#held.set(key, limits);
    return limits;
  }

  /** Of one that was asked already; `server` as `formatServer` writes it. */
  find(link: string, server: string): Limits | undefined {
    return this.#held.get(`${link} ${server}`);
  }

  /** The network is another one, and so may be whoever stands at the same addresses. */
  forget(): void {
    this.#held.clear();
    this.#questions.forgetCookies();
  }

  /**
   * A question was answered over UDP, which went with EDNS or, after copies with it that were not, without. One question
   * may lose those by chance, as all do while a network comes up; another one later on, where none ever had an answer, is
   * no chance.
   */
  noteAnswered(limits: Limits, withEdns: boolean): void {
    if (withEdns) limits.ednsAnswered = true;
    if (limits.ednsAnswered === true) return;
    const now = this.#clock.elapsed();
    limits.plainAnswered ??= now;
    if (now - limits.plainAnswered > QUESTION_MS) limits.noEdns = now;
  }

  /** Whether a failure of then still counts. */
  holds(since: number | undefined): boolean {
    return since !== undefined && this.#clock.elapsed() - since < FORGET_MS;
  }

  /** Whether a server leads in a circle, as far as is known. */
  isCircle({ circle }: Limits): boolean {
    return circle !== undefined && this.#clock.elapsed() - circle < CIRCLE_MS;
  }
}

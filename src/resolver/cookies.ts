import { randomFillSync } from 'node:crypto';
import { type EdnsOption, OPTION } from './wire.ts';

/** What an answer's COOKIE option says about who sent it. */
export type CookieVerdict = 'good' | 'forged' | 'missing';

const CLIENT_BYTES = 8;
/** RFC 7873 section 4: a server's part has 8 to 32 bytes. */
const LEAST_SERVER_BYTES = 8;
const MOST_SERVER_BYTES = 32;
/** After so many questions with a cookie went unanswered, one without is more likely to be. */
const MOST_LOST = 2;

/**
 * The cookies between us and one server over one network (RFC 7873). Our part is drawn at random for each server and
 * dies with this object, so that neither two servers nor two networks can tell that we are the same (RFC 9018 section 3).
 *
 * Until a server has answered a question with a cookie, one question at a time carries one: where something on the way
 * throws such questions away, the others get through.
 */
export class ServerCookie {
  readonly client: Buffer = randomFillSync(Buffer.alloc(CLIENT_BYTES));
  readonly #pauseMs: number;
  #server: Buffer | undefined;
  #trying = false;
  #lost = 0;
  #notBefore = 0;

  /** For `pauseMs` a server that does not speak it gets no cookie. */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  /** Data of the option for a question that is sent now; undefined where none is to go. End each with `ended`. */
  begin(now: number): Buffer | undefined {
    if (this.#server !== undefined) return Buffer.concat([this.client, this.#server]);
    if (this.#trying || now < this.#notBefore) return undefined;
    this.#trying = true;
    return this.client;
  }

  /** Judge the options of an answer to a question that carried our cookie, and keep the server's new part. */
  judge(options: readonly EdnsOption[]): CookieVerdict {
    const data = options.find(({ code }) => code === OPTION.cookie)?.data;
    if (data === undefined) return this.#server === undefined ? 'good' : 'missing';
    const bytes = data.length - CLIENT_BYTES;
    if (bytes !== 0 && (bytes < LEAST_SERVER_BYTES || bytes > MOST_SERVER_BYTES)) return 'forged';
    if (!data.subarray(0, CLIENT_BYTES).equals(this.client)) return 'forged';
    if (bytes > 0) this.#server = Buffer.from(data.subarray(CLIENT_BYTES));
    return 'good';
  }

  /** A question that carried a cookie was answered, was not, or was given up before either. */
  ended(how: 'answered' | 'lost' | 'given up', now: number): void {
    this.#trying = false;
    if (this.#server !== undefined || how === 'given up') return;
    if (how === 'lost' && ++this.#lost < MOST_LOST) return;
    this.stop(now);
  }

  /** The server does without, or chokes on it: no cookies for a while, and none expected. */
  stop(now: number): void {
    this.#server = undefined;
    this.#lost = 0;
    this.#notBefore = now + this.#pauseMs;
  }
}

import { randomInt } from 'node:crypto';
import type { Server } from '../core/server.ts';
import { ByHash, Hashed, hashBytes } from './by-hash.ts';
import type { Query } from './query.ts';
import { HEADER, OPTION } from './wire.ts';

/** Whom a question of ours was put to. */
export interface Asked {
  /** Key of the link. */
  readonly link: string;
  readonly server: Server;
}

/** A pattern of capitals in fewer letters than this could be another program's by chance. */
const LEAST_LETTERS = 12;
const COOKIE_BYTES = 8;
const MOST_COOKIES = 4096;

/**
 * Knows our own questions when they come back as a client's, which a server does that forwards to us. Two marks of ours
 * survive most forwarders: the capitals that we mix into the name, and our DNS cookie, which some pass on though they
 * should not. Where both are lost the circle still ends: the question that comes back waits for itself in `coalesce`
 * until the server's time is over.
 */
export class OwnQuestions {
  readonly #seed = randomInt(2 ** 32);
  readonly #out = new ByHash<Out>();
  readonly #cookies = new Map<string, Asked>();

  /** Remember a question that is sent now; `name` has its length in wire form. The returned function forgets it. */
  note(question: Buffer, nameLength: number, asked: Asked): () => void {
    if (!isMarked(question, nameLength)) return nothing;
    const end = HEADER.bytes + nameLength + 4;
    const out = new Out(hashBytes(question, HEADER.bytes, end, this.#seed), question, end, asked);
    this.#out.add(out);
    return () => this.#out.delete(out);
  }

  /** Remember our part of a cookie (8 bytes). */
  noteCookie(client: Buffer, asked: Asked): void {
    if (this.#cookies.size >= MOST_COOKIES) this.#cookies.clear();
    this.#cookies.set(client.toString('latin1'), asked);
  }

  /** The networks are other ones, and so are the cookies. */
  forgetCookies(): void {
    this.#cookies.clear();
  }

  /** Whom a client's query was put to by ourselves, if it is ours. */
  find({ wire, name, edns }: Query): Asked | undefined {
    const cookie = edns?.options.find(({ code }) => code === OPTION.cookie)?.data;
    if (cookie !== undefined && this.#cookies.size > 0) {
      const asked = this.#cookies.get(cookie.toString('latin1', 0, COOKIE_BYTES));
      if (asked !== undefined) return asked;
    }
    if (this.#out.size === 0 || !isMarked(wire, name.length)) return undefined;
    const end = HEADER.bytes + name.length + 4;
    const same = ({ question, end: itsEnd }: Out): boolean =>
      end === itsEnd && wire.compare(question, HEADER.bytes, end, HEADER.bytes, end) === 0;
    return this.#out.find(hashBytes(wire, HEADER.bytes, end, this.#seed), same)?.asked;
  }
}

const nothing = (): void => {};

/** A question on its way; name as it is spelled, type and class are what makes two the same to the letter. */
class Out extends Hashed {
  readonly question: Buffer;
  readonly end: number;
  readonly asked: Asked;

  constructor(hash: number, question: Buffer, end: number, asked: Asked) {
    super(hash);
    this.question = question;
    this.end = end;
    this.asked = asked;
  }
}

/** Whether the name has letters enough, and capitals among them. */
function isMarked(message: Buffer, nameLength: number): boolean {
  let letters = 0;
  let capitals = 0;
  for (let at = HEADER.bytes; at < HEADER.bytes + nameLength; at++) {
    const byte = message[at] ?? 0;
    if (byte >= 0x41 && byte <= 0x5a) capitals++;
    else if (byte < 0x61 || byte > 0x7a) continue; // length bytes are below 64
    letters++;
  }
  return letters >= LEAST_LETTERS && capitals > 0 && capitals < letters;
}

import { DnskeeperError } from '../core/errors.ts';
import type { Parsed } from '../core/parsed.ts';
import { formatServer, type Server } from '../core/server.ts';
import type { Clock } from '../system/clock.ts';
import { NoRoomError } from './ede.ts';
import { type ResponseFacts, readResponse } from './message-read.ts';
import type { OwnQuestions } from './own-questions.ts';
import type { Query } from './query.ts';
import { type QuestionStyle, repeats, spellAsAsked, writeQuestion } from './question.ts';
import type { RouteLink } from './routing.ts';
import type { Limits } from './server-limits.ts';
import type { Counters } from './statistics.ts';
import type { StopSignal } from './stop.ts';
import type { Endpoint, UpstreamDatagrams } from './upstream-udp.ts';
import { FLAG, HEADER } from './wire.ts';

/** One query on its way to one server. */
export interface Asking {
  readonly server: Server;
  readonly link: RouteLink;
  readonly query: Query;
  readonly limits: Limits;
  readonly signal: StopSignal;
  /** Both as in `Attempt`. */
  readonly again: boolean;
  readonly waitedMs: number;
}

/** Why an answer over UDP is not taken as it is; over a connection nobody can forge one. */
export type Doubt = 'other case' | 'no cookie' | 'cut off' | 'flood';

/**
 * A server that falls silent under load gets several copies of every question that waits for it. They may fill half of
 * the places, so that there always is one for a question that was not sent yet.
 */
const PART_FOR_COPIES = 1 / 2;

/** What single questions over UDP need. */
export interface UdpQuestionsNeeds {
  readonly clock: Clock;
  readonly counters?: Counters;
}

/** Puts single questions over UDP, no more at once than there are places, and judges what comes back. */
export class UdpQuestions {
  readonly #needs: UdpQuestionsNeeds;
  readonly #datagrams: UpstreamDatagrams;
  readonly #questions: OwnQuestions;
  #sockets = 0;

  constructor(needs: UdpQuestionsNeeds, datagrams: UpstreamDatagrams, questions: OwnQuestions) {
    this.#needs = needs;
    this.#datagrams = datagrams;
    this.#questions = questions;
  }

  /** Resolves with the answer, or with why it is not one to rely on; rejects with a DnskeeperError when none comes. */
  async ask(endpoint: Endpoint, asking: Asking, style: QuestionStyle): Promise<ResponseFacts | Doubt> {
    const { server, link, query, limits, signal, again } = asking;
    const { cookie } = style;
    const most = again ? this.#datagrams.most * PART_FOR_COPIES : this.#datagrams.most;
    if (this.#sockets >= most) {
      if (this.#needs.counters !== undefined) this.#needs.counters.bounds.sockets++;
      if (cookie !== undefined) limits.cookie.ended('given up', this.#needs.clock.elapsed());
      throw new NoRoomError(`${most} questions are on their way, which is the most`);
    }
    const question = writeQuestion(query, style);
    const forget = this.#questions.note(question, query.name.length, { link: link.key, server });
    let read: Parsed<ResponseFacts> | undefined;
    let doubt: Doubt | undefined;
    const accept = (message: Buffer): boolean => {
      const same = repeats(question, query.name.length, message);
      if (same === 'no') return false;
      doubt = same === 'other case' ? same : undefined;
      read = readResponse(message);
      if (read.ok && style.mixCase) spellAsAsked(question, query.name, message, read.value.records);
      // Some cut their answers anywhere; nothing but the header of those is of use.
      else if (!read.ok && isTruncated(message)) doubt = 'cut off';
      if (cookie === undefined || !read.ok || doubt !== undefined) return true;
      const verdict = limits.cookie.judge(read.value.edns?.options ?? []);
      if (verdict === 'missing') doubt = 'no cookie';
      return verdict !== 'forged';
    };
    let ended: 'answered' | 'lost' | 'given up' = 'given up';
    this.#sockets++;
    try {
      await this.#datagrams.ask(endpoint, question, accept, signal);
      ended = 'answered';
      return doubt ?? understood(read, server);
    } catch (error) {
      const code = error instanceof DnskeeperError ? error.code : 'IO';
      if (code === 'DEADLINE' && !signal.aborted) ended = 'lost';
      // Somebody guesses at answers, or the server is out of order: only a connection can tell.
      if (code === 'PROTOCOL' && ended !== 'answered') return 'flood';
      throw error;
    } finally {
      this.#sockets--;
      forget();
      if (cookie !== undefined) limits.cookie.ended(ended, this.#needs.clock.elapsed());
    }
  }
}

/** An answer as it was read. Throws a DnskeeperError where it could not be. */
export function understood(read: Parsed<ResponseFacts> | undefined, server: Server): ResponseFacts {
  if (read?.ok) return read.value;
  const reason = read?.reason ?? 'none';
  throw new DnskeeperError('PROTOCOL', `${formatServer(server)} sent an answer that is ${reason}`);
}

const isTruncated = (message: Buffer): boolean => (message.readUInt16BE(HEADER.flags) & FLAG.truncated) !== 0;

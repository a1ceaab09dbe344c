const NOTHING = Buffer.alloc(0);

/**
 * Cuts the bytes of a connection into messages, each with its length in front (RFC 1035 section 4.2.2). A message is
 * given room for once its length is known, so that one which comes byte by byte costs no more than another.
 */
export class MessageReader {
  #unread: Buffer = NOTHING;
  #message: Buffer | undefined;
  #filled = 0;

  /** Whether a message has begun that is not whole. */
  get partial(): boolean {
    return this.#message !== undefined || this.#unread.length > 0;
  }

  push(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
  }

  /** The next whole message, its bytes its own; undefined until more has been pushed. */
  next(): Buffer | undefined {
    if (this.#message === undefined) {
      if (this.#unread.length < 2) return undefined;
      this.#message = Buffer.allocUnsafe(this.#unread.readUInt16BE(0));
      this.#filled = 0;
      this.#unread = this.#unread.subarray(2);
    }
    const taken = this.#unread.copy(this.#message, this.#filled);
    this.#filled += taken;
    this.#unread = taken === this.#unread.length ? NOTHING : this.#unread.subarray(taken);
    if (this.#filled < this.#message.length) return undefined;
    const whole = this.#message;
    this.#message = undefined;
    return whole;
  }
}

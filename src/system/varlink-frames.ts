/** Parameters of a varlink call or reply. */
export type VarlinkParameters = Readonly<Record<string, unknown>>;

/** An error as varlink carries it: thrown by method implementations, and by the client when a peer replies with one. */
export class VarlinkError extends Error {
  override readonly name = 'VarlinkError';
  /** Fully qualified: `org.varlink.service.InvalidParameter`. */
  readonly error: string;
  readonly parameters: VarlinkParameters;

  constructor(error: string, parameters: VarlinkParameters = {}) {
    super(`${error} ${JSON.stringify(parameters)}`);
    this.error = error;
    this.parameters = parameters;
  }
}

/** Splits a byte stream into varlink frames: JSON texts that each end in a NUL byte (https://varlink.org/Wire-Protocol). */
export interface FrameReader {
  /** Take in bytes; returns the complete frames. Throws a RangeError when a frame outgrows the bound. */
  push(chunk: Uint8Array): string[];
  /** Bytes of a frame that has not ended yet. */
  readonly pending: number;
}

/** A reader for frames of at most `limit` bytes. */
export function frameReader(limit: number): FrameReader {
  let parts: Uint8Array[] = [];
  let pending = 0;
  const keep = (bytes: Uint8Array): void => {
    pending += bytes.length;
    if (pending > limit) throw new RangeError(`a frame of more than ${limit} bytes`);
    if (bytes.length > 0) parts.push(bytes);
  };
  return {
    get pending() {
      return pending;
    },
    push(chunk) {
      const frames: string[] = [];
      let start = 0;
      for (let end = chunk.indexOf(0); end >= 0; end = chunk.indexOf(0, start)) {
        keep(chunk.subarray(start, end));
        frames.push(Buffer.concat(parts).toString('utf8'));
        parts = [];
        pending = 0;
        start = end + 1;
      }
      // A copy, because a view would keep the whole chunk in memory for as long as its tail waits.
      keep(Uint8Array.from(chunk.subarray(start)));
      return frames;
    },
  };
}

/** One message as a frame. */
export const frameOf = (message: object): Buffer => Buffer.from(`${JSON.stringify(message)}\0`, 'utf8');

/** Whether something is a plain JSON object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

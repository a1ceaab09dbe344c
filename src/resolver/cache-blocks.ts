/** Strings of bytes, kept outside the heap of objects: 100,000 of them as Buffers would cost 100 MB. */
export interface Blocks {
  /** Keep bytes; their first block, by which they are called from then on. */
  write(bytes: Uint8Array): number;
  /** Copy from what is kept at `first` into all of `into`, as far as it goes. */
  read(first: number, into: Uint8Array): void;
  /** Whether what is kept at `first` begins with these bytes. */
  beginsWith(first: number, bytes: Uint8Array): boolean;
  free(first: number): void;
  /** Bytes that are taken, in whole blocks. */
  readonly bytes: number;
}

/** A block: the number of the next one, then data. Nothing is ever moved, and what is freed fits whatever comes next. */
const BLOCK_BYTES = 32;
const DATA_BYTES = BLOCK_BYTES - 4;
const BLOCK_WORDS = BLOCK_BYTES / 4;
/** One mebibyte: the kernel gives a page of memory when it is first used, and all of it back when the whole is dropped. */
const CHUNK_BLOCKS = 32_768;
const NONE = -1;

/** How many bytes of blocks a string takes. */
export const bytesInBlocks = (length: number): number =>
  Math.max(1, Math.ceil(length / DATA_BYTES)) * BLOCK_BYTES;

/** An empty store of blocks; its owner keeps it within bounds. */
export function makeBlocks(): Blocks {
  const chunks: { readonly bytes: Uint8Array; readonly words: Int32Array }[] = [];
  /** Blocks from here on were never used. */
  let fresh = 0;
  let freed = NONE;
  let taken = 0;

  const chunkOf = (block: number): (typeof chunks)[number] => {
    const chunk = chunks[Math.floor(block / CHUNK_BLOCKS)];
    if (chunk === undefined) throw new RangeError(`wanted a block, got ${block}`);
    return chunk;
  };
  const nextAt = (block: number): number => (block % CHUNK_BLOCKS) * BLOCK_WORDS;
  const next = (block: number): number => chunkOf(block).words[nextAt(block)] ?? NONE;
  const link = (block: number, to: number): void => {
    chunkOf(block).words[nextAt(block)] = to;
  };

  function take(): number {
    taken++;
    if (freed !== NONE) {
      const block = freed;
      freed = next(block);
      return block;
    }
    if (fresh === chunks.length * CHUNK_BLOCKS) {
      const memory = new ArrayBuffer(CHUNK_BLOCKS * BLOCK_BYTES);
      chunks.push({ bytes: new Uint8Array(memory), words: new Int32Array(memory) });
    }
    return fresh++;
  }

  return {
    write(bytes) {
      const first = take();
      let block = first;
      for (let at = 0; ; ) {
        const { bytes: memory } = chunkOf(block);
        memory.set(bytes.subarray(at, at + DATA_BYTES), (block % CHUNK_BLOCKS) * BLOCK_BYTES + 4);
        at += DATA_BYTES;
        const following = at < bytes.length ? take() : NONE;
        link(block, following);
        if (following === NONE) return first;
        block = following;
      }
    },
    read(first, into) {
      let block = first;
      for (let at = 0; at < into.length && block !== NONE; at += DATA_BYTES) {
        const start = (block % CHUNK_BLOCKS) * BLOCK_BYTES + 4;
        const length = Math.min(DATA_BYTES, into.length - at);
        into.set(chunkOf(block).bytes.subarray(start, start + length), at);
        block = next(block);
      }
    },
    beginsWith(first, bytes) {
      let block = first;
      for (let at = 0; at < bytes.length; block = next(block)) {
        if (block === NONE) return false;
        const { bytes: memory } = chunkOf(block);
        const start = (block % CHUNK_BLOCKS) * BLOCK_BYTES + 4;
        for (let i = 0; i < DATA_BYTES && at < bytes.length; i++, at++)
          if (memory[start + i] !== bytes[at]) return false;
      }
      return true;
    },
    free(first) {
      let last = first;
      for (taken--; next(last) !== NONE; taken--) last = next(last);
      link(last, freed);
      freed = first;
    },
    get bytes() {
      return taken * BLOCK_BYTES;
    },
  };
}

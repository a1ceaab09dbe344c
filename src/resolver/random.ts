import { randomFillSync } from 'node:crypto';

/** Unpredictable bytes, drawn in bulk because a call into the system's source for each query costs more than the query. */
const pool = Buffer.alloc(4096);
let at = pool.length;

/** An unpredictable number from 0 to 65535. */
export function random16(): number {
  if (at + 2 > pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  const value = pool.readUInt16LE(at);
  pool.writeUInt16LE(0, at); // what was used is not to be found in memory later
  at += 2;
  return value;
}

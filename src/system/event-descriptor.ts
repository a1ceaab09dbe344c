import { writeSync } from 'node:fs';

/** Make an event descriptor readable (eventfd(2), `wakeDescriptor` of system/libc-datagrams): whoever polls it wakes up. */
export const wake = (fd: number): void => void writeSync(fd, ONE);

/** The count that it takes: the number 1 in eight bytes. */
const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

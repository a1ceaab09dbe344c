import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';

/** What may stand where a file is wanted, each made at a path. None of them may hold a reader up or fill its memory. */
export const ODD_FILES: readonly OddFile[] = [
  { what: 'a folder', make: (path) => mkdirSync(path) },
  { what: 'a pipe that nobody writes into', make: (path) => execFileSync('mkfifo', [path]) },
  { what: 'a link to a device that never ends', make: (path) => symlinkSync('/dev/zero', path) },
  { what: 'a link to itself', make: (path) => symlinkSync(path, path) },
  { what: 'a file of four megabytes', make: (path) => writeFileSync(path, Buffer.alloc(4 << 20, '#')) },
];

/** One of them. */
export interface OddFile {
  readonly what: string;
  make(path: string): void;
}

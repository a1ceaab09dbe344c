import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of this test alone, with `subfolders`, removed when the test ends. */
export function temporaryFolder(...subfolders: readonly string[]): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'dnskeeper-test-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  for (const sub of subfolders) mkdirSync(join(folder, sub), { recursive: true });
  return folder;
}

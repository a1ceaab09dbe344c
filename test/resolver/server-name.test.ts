import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serverName } from '../../src/resolver/server-name.ts';
import { temporaryFolder } from '../support/folder.ts';

const ID = '0123456789abcdef0123456789abcdef';

function nameFor(text: string): string | undefined {
  const file = join(temporaryFolder(), 'machine-id');
  writeFileSync(file, text);
  return serverName(file)?.toString();
}

describe('the name of the server', () => {
  it('is the same at every start, another on every machine, and does not tell the machine’s id', () => {
    const name = nameFor(`${ID}\n`);
    expect(name).toMatch(/^[0-9a-f]{32}\.dnskeeper$/);
    expect(nameFor(ID)).toBe(name);
    expect(nameFor(ID.replace('0', '1'))).not.toBe(name);
    expect(name).not.toContain(ID.slice(0, 8));
  });

  it.each(['', 'uninitialized\n', 'not an id'])('is not there where the machine has none: "%s"', (text) => {
    expect(nameFor(text)).toBeUndefined();
    expect(serverName('/nonexistent')).toBeUndefined();
  });
});

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * Our name as a server (RFC 5001), for clients that ask which resolver has answered: the machine's id by way of a keyed
 * hash, because the id itself is not to leave the machine (machine-id(5)). Undefined where the machine has none.
 */
export function serverName(machineIdFile: string): Buffer | undefined {
  const id = readId(machineIdFile);
  if (id === undefined) return undefined;
  const hash = createHmac('sha256', Buffer.from(id, 'hex')).update('dnskeeper').digest('hex');
  return Buffer.from(`${hash.slice(0, 32)}.dnskeeper`);
}

function readId(file: string): string | undefined {
  try {
    return /^[0-9a-f]{32}$/m.exec(readFileSync(file, 'latin1'))?.[0];
  } catch {
    // Containers may have none; then nobody is told a name, as RFC 5001 leaves it to each server.
    return undefined;
  }
}

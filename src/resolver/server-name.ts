import { createHmac } from 'node:crypto';
import { machineIdIn } from '../system/machine-id.ts';

/**
 * Our name as a server (RFC 5001), for clients that ask which resolver has answered: the machine's id by way of a keyed
 * hash, because the id itself is not to leave the machine (machine-id(5)). Undefined where the machine has none: then
 * nobody is told a name, as the RFC leaves it to each server.
 */
export function serverName(machineIdFile: string): Buffer | undefined {
  const id = machineIdIn(machineIdFile);
  if (id === undefined) return undefined;
  const hash = createHmac('sha256', Buffer.from(id, 'hex')).update('dnskeeper').digest('hex');
  return Buffer.from(`${hash.slice(0, 32)}.dnskeeper`);
}

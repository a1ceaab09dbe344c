import { resolve1Tree } from '../../src/standin/resolve1.ts';
import { MANAGER_PATH } from '../../src/standin/resolve1-tables.ts';
import { signatureOf } from '../../src/system/bus-interface.ts';
import type { IncomingCall } from '../../src/system/bus-service.ts';
import { toWire } from '../../src/system/message-body.ts';
import type { TestGround } from './standin.ts';

/** Call a method as the bus would; arguments and the answer are held against the method's signatures. */
export async function callMethod(
  ground: TestGround,
  member: string,
  body: readonly unknown[],
  path = MANAGER_PATH,
): Promise<readonly unknown[]> {
  const found = resolve1Tree(ground)
    .interfacesAt(path)
    ?.find(({ table }) => Object.hasOwn(table.methods, member));
  const method = found?.methods[member];
  if (found === undefined || method === undefined) throw new Error(`no method ${member} at ${path}`);
  const table = found.table.methods[member];
  toWire(signatureOf(table?.in), body, () => undefined);
  const call: IncomingCall = {
    sender: ':1.9',
    path,
    interface: found.table.name,
    member,
    signature: signatureOf(table?.in),
    body,
    interactive: false,
    signal: new AbortController().signal,
  };
  const answer = await method(body, call);
  toWire(signatureOf(table?.out), answer, () => undefined);
  return answer;
}

/** A property as a reader sees it right now. */
export function readProperty(ground: TestGround, name: string, path = MANAGER_PATH): unknown {
  const found = resolve1Tree(ground)
    .interfacesAt(path)
    ?.find(({ get }) => Object.hasOwn(get, name));
  if (found === undefined) throw new Error(`no property ${name} at ${path}`);
  return found.get[name]?.();
}

import { expect, it, onTestFinished } from 'vitest';
import { linkBinder } from '../../src/resolver/open.ts';
import { UpstreamConnections } from '../../src/resolver/upstream-connections.ts';
import { type Endpoint, nodeDatagrams } from '../../src/resolver/upstream-udp.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { queryWire, readAnswer } from '../support/ask.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';

const forever = new AbortController().signal;
const question = queryWire('www.example.com');
const take = (): boolean => true;

it('over UDP a socket that is tied to the right link reaches the server', async () => {
  const server = await scriptedServer((asked) => addressAnswer(asked, '192.0.2.1'));
  const answer = await nodeDatagrams(binder()).ask(
    endpoint(server, 'lo'),
    Buffer.from(question),
    take,
    forever,
  );
  expect(readAnswer(answer).answers).toEqual(['www.example.com A 192.0.2.1']);
});

it('over TCP too', async () => {
  const server = await scriptedServer((asked) => addressAnswer(asked, '192.0.2.1'));
  const connections = new UpstreamConnections({ bindToLink: binder() });
  onTestFinished(() => connections.close());
  const stream = await connections.get(endpoint(server, 'lo'), { kind: 'tcp' }, forever);
  const answer = await stream.ask(Buffer.from(question), take, 4000, forever);
  expect(readAnswer(answer).answers).toEqual(['www.example.com A 192.0.2.1']);
});

it('a link that is gone is a failure, and nothing leaves by another one', async () => {
  const server = await scriptedServer((asked) => addressAnswer(asked, '192.0.2.1'));
  const at = endpoint(server, 'no-such-link');
  await expect(nodeDatagrams(binder()).ask(at, Buffer.from(question), take, forever)).rejects.toMatchObject({
    code: 'IO',
  });
  const connections = new UpstreamConnections({ bindToLink: binder() });
  onTestFinished(() => connections.close());
  await expect(connections.get(at, { kind: 'tcp' }, forever)).rejects.toMatchObject({ code: 'IO' });
  expect(server.asked).toEqual([]);
  expect(server.connections).toBe(0);
});

const endpoint = ({ host, port }: ScriptedServer, link: string): Endpoint => ({
  host,
  port,
  family: 4,
  interface: link,
});

function binder() {
  const libc = loadLibc();
  if (libc === undefined) throw new Error('wanted koffi, which is a dependency');
  return linkBinder(libc);
}

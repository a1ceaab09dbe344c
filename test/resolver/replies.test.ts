import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { parseAddress } from '../../src/core/address.ts';
import { repliesBy } from '../../src/resolver/replies.ts';
import { loadLibc } from '../../src/system/libc.ts';
import { socketAddress } from '../../src/system/socket-address.ts';
import { until } from '../support/until.ts';

const libc = loadLibc();
const loopback = parseAddress('127.0.0.1');

async function underTest() {
  if (libc === undefined || !loopback.ok) throw new Error('these tests need koffi');
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  await once(client, 'listening');
  const got: string[] = [];
  client.on('message', (message) => void got.push(message.toString()));
  const fd = libc.datagrams.bindUdp(loopback.value, 0);
  onTestFinished(() => {
    client.close();
    closeSync(fd);
  });
  let lost = 0;
  const replies = repliesBy(libc.datagrams, fd, (count) => {
    lost += count;
  });
  const to = (port: number): Buffer => socketAddress(loopback.value, port);
  return { replies, got, client: to(client.address().port), nobody: to(0), lost: () => lost };
}

it('all answers of a turn arrive, each as it was when it was given', async () => {
  const { replies, got, client } = await underTest();
  const answer = Buffer.alloc(3);
  const wanted = Array.from({ length: 150 }, (_, i) => String(i).padStart(3, '0'));
  for (const text of wanted) {
    answer.write(text);
    expect(replies.send(answer, client)).toBe(true);
  }
  await until(() => got.length === wanted.length, 'all came');
  expect(got).toEqual(wanted);
});

it('what waits goes out at once when the socket is about to close', async () => {
  const { replies, got, client } = await underTest();
  replies.send(Buffer.from('now'), client);
  replies.flush();
  replies.flush();
  await until(() => got.length > 0, 'it came');
  expect(got).toEqual(['now']);
});

it('one that the kernel does not take is counted, and those around it go out', async () => {
  const { replies, got, client, nobody, lost } = await underTest();
  replies.send(Buffer.from('before'), client);
  replies.send(Buffer.from('lost'), nobody);
  replies.send(Buffer.from('behind'), client);
  await until(() => got.length === 2, 'both came');
  expect(got).toEqual(['before', 'behind']);
  expect(lost()).toBe(1);
});

it('an answer larger than any over UDP is refused', async () => {
  const { replies, client } = await underTest();
  expect(replies.send(Buffer.alloc(5000), client)).toBe(false);
});

import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { systemCodeOf } from '../core/errors.ts';
import type { ProbeFacts } from '../core/machine-facts.ts';

/**
 * Ask one server for the name servers of the root, which every resolver knows, and tell how it took it. `host` may
 * carry a zone (`fe80::1%eth0`). Any answer but a refusal counts as alive.
 */
export function probeServer(
  host: string,
  port: number,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<ProbeFacts> {
  const id = randomInt(65_536);
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve) => {
    const finish = (outcome: ProbeFacts['outcome'], detail: string): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.close();
      resolve({ server: host, outcome, detail });
    };
    const stop = (): void => finish('timeout', 'interrupted');
    const timer = setTimeout(() => finish('timeout', `no answer within ${deadlineMs} ms`), deadlineMs);
    signal.addEventListener('abort', stop, { once: true });
    const failed = (error: unknown): void => finish('unreachable', systemCodeOf(error) ?? 'no route');
    socket.once('error', failed);
    socket.on('message', (message) => {
      const answer = answerOf(message, id);
      if (answer !== undefined) finish(answer === 'REFUSED' ? 'refused' : 'answered', answer);
    });
    // Connected, so that only this server can answer and an ICMP "port unreachable" comes back as an error.
    socket.connect(port, host, () => socket.send(questionOf(id)));
  });
}

const questionOf = (id: number): Buffer =>
  encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type: 'NS', name: '.' }] });

/** The answer's code, or undefined for something that does not answer our question. */
function answerOf(message: Uint8Array, id: number): string | undefined {
  try {
    const packet = decode(Buffer.from(message));
    return packet.id === id && packet.type === 'response' ? (packet.rcode ?? 'NOERROR') : undefined;
  } catch {
    return undefined;
  }
}

import { connect } from 'node:net';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { ascii } from '../core/text.ts';

/** No answer that we ask for is longer. */
const MOST_BYTES = 64 * 1024;

/**
 * Give one command to an unbound, as unbound-control(8) does: a line behind the protocol's version, and the answer up to the
 * end of the connection. Resolves with the answer; rejects with `IO` when nobody is there, `DEADLINE`, or `PROTOCOL` when
 * unbound says that it could not be done.
 */
export function unboundControl(socket: string, command: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const word = command.split(' ', 1)[0] ?? '';
    let answer = '';
    const connection = connect(socket);
    const settle = (error: DnskeeperError | undefined): void => {
      signal.removeEventListener('abort', abort);
      connection.destroy();
      if (error === undefined) resolve(answer);
      else reject(error);
    };
    const abort = (): void =>
      settle(new DnskeeperError('DEADLINE', `unbound did not answer ${word} in time`));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    connection.setEncoding('latin1');
    connection.on('connect', () => connection.write(`UBCT1 ${command}\n`));
    connection.on('data', (text: string) => {
      answer += text;
      if (answer.length > MOST_BYTES)
        settle(new DnskeeperError('PROTOCOL', `unbound answered ${word} without end`));
    });
    connection.on('error', (error) =>
      settle(new DnskeeperError('IO', `unbound cannot be reached for ${word}: ${messageOf(error)}`, error)),
    );
    connection.on('end', () =>
      settle(
        answer.startsWith('error')
          ? new DnskeeperError('PROTOCOL', `unbound refused ${word}: ${ascii(answer.trim(), 200)}`)
          : undefined,
      ),
    );
  });
}

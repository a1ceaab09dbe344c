import type { ReadStream, WriteStream } from 'node:tty';
import type { Clock } from './clock.ts';

type Input = Pick<ReadStream, 'isTTY' | 'setRawMode' | 'once' | 'off' | 'resume' | 'pause'>;
type Output = Pick<WriteStream, 'isTTY' | 'write'>;

/**
 * Ask a question that one key answers: Enter is yes, every other key no. Undefined where input or output is no terminal,
 * `too late` when nobody pressed one in time.
 */
export function askForKey(
  input: Input,
  output: Output,
  clock: Pick<Clock, 'after'>,
  question: string,
  forMs: number,
): Promise<'yes' | 'no' | 'too late' | undefined> {
  if (input.isTTY !== true || output.isTTY !== true) return Promise.resolve(undefined);
  const { promise, resolve } = Promise.withResolvers<'yes' | 'no' | 'too late'>();
  const pressed = (bytes: Buffer): void => resolve(/^[\r\n]/.test(bytes.toString('latin1')) ? 'yes' : 'no');
  input.setRawMode(true);
  input.once('data', pressed);
  input.resume();
  output.write(question);
  const cancel = clock.after(forMs, () => resolve('too late'));
  return promise.finally(() => {
    cancel();
    input.off('data', pressed);
    input.pause();
    input.setRawMode(false);
    output.write('\n');
  });
}

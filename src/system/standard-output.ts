import { messageOf, systemCodeOf } from '../core/errors.ts';

/**
 * Print to standard output. A reader that has seen enough (`| head`) ends the program without a complaint; whatever else
 * keeps the text from getting out, a full disk say, is told and ends it with exit code 1.
 */
export function print(program: string, text: string, encoding: BufferEncoding = 'utf8'): void {
  endWithReader(program);
  process.stdout.write(text, encoding);
}

/** Tell something on standard error. That nobody reads it changes nothing: callers go by the exit code. */
export function tell(text: string): void {
  if (process.stderr.listenerCount('error') === 0) process.stderr.on('error', () => {});
  process.stderr.write(text);
}

/** What `print` does about failures, for programs that write to standard output by themselves. */
export function endWithReader(program: string): void {
  if (process.stdout.listenerCount('error') > 0) return;
  process.stdout.on('error', (error) => {
    if (systemCodeOf(error) === 'EPIPE') process.exit(0);
    tell(`${program}: wanted to print, got ${messageOf(error)}\n`);
    process.exit(1);
  });
}

import type { ReadStream, WriteStream } from 'node:tty';

/** A whole terminal, taken until it is closed. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Draw these lines from the top; what was there before goes. Lines must not be wider than the screen. */
  show(lines: readonly string[]): void;
  /** Give the terminal back as it was. */
  close(): void;
}

/** What a screen tells. */
export interface ScreenEvents {
  /** A key as its character; `\u0003` is Ctrl-C. */
  key(key: string): void;
  /** It has another size now. */
  resized(): void;
}

type Input = Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'>;
type Output = Pick<WriteStream, 'isTTY' | 'columns' | 'rows' | 'write' | 'on' | 'off'>;

// xterm's control sequences, which every terminal of the last decades understands.
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const SUSPEND = '\u001a';

/** Take the terminal: the other screen, no cursor, keys at once. Undefined where input or output is no terminal. */
export function openScreen(input: Input, output: Output, events: ScreenEvents): Screen | undefined {
  if (input.isTTY !== true || output.isTTY !== true) return undefined;
  let open = false;
  let closed = false;
  const enter = (): void => {
    if (open) return;
    open = true;
    input.setRawMode(true);
    output.write(ENTER);
  };
  const leave = (): void => {
    if (!open) return;
    open = false;
    output.write(LEAVE);
    input.setRawMode(false);
  };
  const heard = (bytes: Buffer): void => {
    for (const key of bytes.toString('latin1')) {
      if (key === SUSPEND) suspend();
      else events.key(key);
    }
  };
  /** Ctrl-Z does nothing by itself while keys come raw. */
  const suspend = (): void => {
    leave();
    process.kill(process.pid, 'SIGTSTP');
    // Without a shell that could continue us the kernel ignores it (POSIX: orphaned process groups).
    setImmediate(resumed);
  };
  const resumed = (): void => {
    if (closed) return;
    enter();
    events.resized();
  };
  const resized = (): void => events.resized();
  enter();
  input.on('data', heard);
  input.resume();
  output.on('resize', resized);
  process.on('SIGCONT', resumed);
  process.on('exit', leave); // whatever ends the program, the terminal is given back
  return {
    get columns() {
      return output.columns || 80;
    },
    get rows() {
      return output.rows || 24;
    },
    show(lines) {
      const shown = lines.slice(0, output.rows || 24).map((line) => line + CLEAR_LINE);
      if (open) output.write(`${HOME}${shown.join('\r\n')}${CLEAR_BELOW}`);
    },
    close() {
      closed = true;
      process.off('SIGCONT', resumed);
      process.off('exit', leave);
      output.off('resize', resized);
      input.off('data', heard);
      input.pause();
      leave();
    },
  };
}

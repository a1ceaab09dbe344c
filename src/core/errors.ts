/** Stable codes of the errors dnskeeper itself raises; documented in docs/errors.md. */
export type ErrorCode =
  | 'USAGE' // the command line is wrong
  | 'LOCKED' // another daemon holds this root
  | 'IO' // a file, folder or socket did not do what was wanted
  | 'BUS' // the message bus refused, vanished or answered with an error
  | 'DEADLINE' // something did not answer in time
  | 'PROTOCOL' // the other side does not speak as agreed
  | 'PERMISSION' // the caller may not do this
  | 'NOT_RUNNING'; // no daemon answers

/** Every error of ours: what was wanted, what was got and what to do, with a code that scripts may rely on. */
export class DnskeeperError extends Error {
  override readonly name = 'DnskeeperError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown);

/** The system's error code (`ENOENT`, `EROFS`, …) of anything that was thrown, if it has one. */
export function systemCodeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

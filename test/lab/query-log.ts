import { readFileSync } from 'node:fs';

/** A question that a server was asked, as its log says: name in lower case, type in capitals. */
export interface LoggedQuery {
  readonly name: string;
  readonly type: string;
}

/** What a dnsmasq with --log-queries was asked. */
export interface QueryLog {
  /** Whatever was asked since the last call. */
  take(): readonly LoggedQuery[];
}

/** Follow the log file of a dnsmasq. */
export function followQueryLog(path: string): QueryLog {
  const lines = followLines(path);
  return {
    take: () =>
      lines().flatMap((line) => {
        const [, type, name] = /query\[([A-Za-z0-9=]+)\] (\S+) from/.exec(line) ?? [];
        return type === undefined || name === undefined ? [] : [{ name: name.toLowerCase(), type }];
      }),
  };
}

/** The lines of a file since the last call; a last line that is only half there is left for the next one. */
export function followLines(path: string): () => readonly string[] {
  let read = 0;
  return () => {
    const bytes = readFileSync(path);
    const end = bytes.lastIndexOf(10) + 1;
    const fresh = bytes.toString('latin1', read, end);
    read = end;
    return fresh.split('\n').slice(0, -1);
  };
}

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

/** Follow the log file of a dnsmasq. A last line that is only half there is left for the next call. */
export function followQueryLog(path: string): QueryLog {
  let read = 0;
  return {
    take() {
      const bytes = readFileSync(path);
      const end = bytes.lastIndexOf(10) + 1;
      const fresh = bytes.toString('latin1', read, end);
      read = end;
      return [...fresh.matchAll(/query\[([A-Za-z0-9=]+)\] (\S+) from/g)].map(([, type = '', name = '']) => ({
        name: name.toLowerCase(),
        type,
      }));
    },
  };
}

import { type Address, parseAddress } from './address.ts';
import { printable } from './text.ts';

/** What the lines of a resolv.conf(5) say, as glibc reads them. */
export interface ResolvConfLines {
  readonly nameservers: readonly string[];
  /** Every search or domain line; the last one counts. */
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Read the lines that libc reads: the keyword in the first column, then a blank. */
export function resolvConfLines(text: string): ResolvConfLines {
  const lines = text.slice(0, 65_536).split('\n');
  const having = (pattern: RegExp): string[] => lines.filter((line) => pattern.test(line));
  return {
    nameservers: having(/^nameserver[ \t]/).map((line) =>
      printable(line.trim().split(/[ \t]+/)[1] ?? '', 60),
    ),
    search: having(/^(search|domain)[ \t]/),
    options: having(/^options[ \t]/),
  };
}

/** An address as resolv.conf has it, where a zone may follow. */
export function addressOf(text: string): Address | undefined {
  const address = parseAddress(text.split('%', 1)[0] ?? '');
  return address.ok ? address.value : undefined;
}

import { styleText } from 'node:util';

/** How a text may look. */
export type Style = 'plain' | 'strong' | 'faint' | 'good' | 'bad' | 'notice';

/** Where text goes: how wide it is and how it shows styles. */
export interface Terminal {
  /** Infinity when it is no terminal: lines that go to a file or program are never broken. */
  readonly columns: number;
  /** Whether it shows more than ASCII, as its locale says. */
  readonly unicode: boolean;
  paint(style: Style, text: string): string;
}

const LOOK = { strong: 'bold', faint: 'dim', good: 'green', bad: 'red', notice: 'yellow' } as const;

/** The terminal behind a stream; colour only on a terminal that has it, and never with NO_COLOR (https://no-color.org). */
export function terminalOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  const real = stream.isTTY === true;
  const colour = real && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  return {
    columns: real ? Math.max(40, stream.columns || 80) : Number.POSITIVE_INFINITY,
    unicode: /utf-?8/i.test(environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || ''),
    paint: (style, text) =>
      colour && style !== 'plain' ? styleText(LOOK[style], text, { validateStream: false }) : text,
  };
}

import { printable } from '../core/text.ts';
import type { Style, Terminal } from '../system/terminal.ts';
import { columnsOf, cut, wrap } from './wrap.ts';

/** One row of a list: a short label and a sentence. */
export interface Row {
  readonly label: string;
  readonly text: string;
  readonly style?: Style;
}

/**
 * Collects lines for a terminal. Every text is made printable here and nowhere else, so that nothing a network said
 * can steer the terminal, whoever calls.
 */
export interface Page {
  /** A title with an empty line before it. */
  heading(text: string): void;
  /** Wrapped text. */
  text(text: string, options?: { readonly indent?: number; readonly style?: Style }): void;
  /** Labels in one column, sentences wrapped in the next. */
  rows(rows: readonly Row[], indent?: number): void;
  /** One line, cut at the edge rather than wrapped. */
  line(text: string, options?: { readonly indent?: number; readonly style?: Style }): void;
  /** Everything so far, with a newline at its end. */
  end(): string;
}

/** Longest text that is taken in; a reason is one sentence, so what is longer is no reason. */
const LONGEST = 600;
const WIDEST_LABEL = 34;
const NARROWEST_TEXT = 24;

/** An empty page. */
export function newPage(terminal: Terminal): Page {
  const lines: string[] = [];
  const put = (indent: number, style: Style, text: string): void => {
    lines.push(`${' '.repeat(indent)}${terminal.paint(style, text)}`);
  };
  return {
    heading(text) {
      lines.push('');
      put(0, 'strong', cut(printable(text, LONGEST), terminal.columns));
    },
    text(text, { indent = 0, style = 'plain' } = {}) {
      for (const line of wrap(printable(text, LONGEST), terminal.columns - indent)) put(indent, style, line);
    },
    rows(rows, indent = 2) {
      const clean = rows.map((row) => ({
        ...row,
        label: printable(row.label),
        text: printable(row.text, LONGEST),
      }));
      const fitting = clean.map((row) => columnsOf(row.label)).filter((width) => width <= WIDEST_LABEL);
      const column = Math.max(0, ...fitting) + 2;
      for (const row of clean) for (const line of rowLines(row, indent, column, terminal)) lines.push(line);
    },
    line(text, { indent = 0, style = 'plain' } = {}) {
      put(indent, style, cut(printable(text, 4 * LONGEST), terminal.columns - indent));
    },
    end: () => `${lines.join('\n')}\n`,
  };
}

function rowLines(row: Row, indent: number, column: number, terminal: Terminal): string[] {
  const style = row.style ?? 'plain';
  const pad = ' '.repeat(indent);
  const room = terminal.columns - indent - column;
  if (row.text === '')
    return wrap(row.label, terminal.columns - indent).map((l) => pad + terminal.paint(style, l));
  if (room < NARROWEST_TEXT || columnsOf(row.label) > column - 2) {
    const label = wrap(row.label, terminal.columns - indent);
    const text = wrap(row.text, terminal.columns - indent - 2);
    return [...label.map((l) => pad + terminal.paint(style, l)), ...text.map((l) => `${pad}  ${l}`)];
  }
  const gap = ' '.repeat(column - columnsOf(row.label));
  return wrap(row.text, room).map((line, index) =>
    index === 0 ? `${pad}${terminal.paint(style, row.label)}${gap}${line}` : pad + ' '.repeat(column) + line,
  );
}

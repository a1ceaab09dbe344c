import { parse, TomlError } from 'smol-toml';

/** What is wrong with a TOML text. */
export interface TomlProblem {
  readonly line: number;
  /** With the column. */
  readonly message: string;
}

/** Read a TOML text into plain values; the only place that knows the library. Whole numbers may come as bigint. */
export function readToml(
  text: string,
): { readonly values: Readonly<Record<string, unknown>> } | { readonly problem: TomlProblem } {
  try {
    return { values: parse(text, { maxDepth: 8 }) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { problem: { line: error.line, message: `${firstWords(error)} (column ${error.column})` } };
  }
}

/** Its message goes on with the text around, and begins by saying that it is no TOML, which those who show it say too. */
const firstWords = ({ message }: TomlError): string =>
  (message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '');

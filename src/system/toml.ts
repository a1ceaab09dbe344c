import { parse, TomlError } from 'smol-toml';

/** What is wrong with a TOML text. */
export interface TomlProblem {
  readonly line: number;
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
    return { problem: { line: error.line, message: error.message.split('\n')[0] ?? '' } };
  }
}

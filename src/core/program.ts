/** One option of a program or command. */
export interface OptionEntry {
  /** `--json`; with `short` also `-n`. */
  readonly name: `--${string}`;
  readonly short?: `-${string}`;
  /** Placeholder of its value; without one it is a switch. */
  readonly value?: 'DIR' | 'FILE' | 'LEVEL' | 'COUNT' | 'NAME' | 'TIME';
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** Another option that it makes no sense without. */
  readonly needs?: `--${string}`;
  readonly text: string;
}

/** One argument of a command; it is wanted unless it is said to be optional, and those come last. */
export interface ArgumentEntry {
  readonly name: string;
  readonly text: string;
  readonly optional?: boolean;
  /** The only words it takes. */
  readonly choices?: readonly string[];
  /** What a shell offers for it. */
  readonly completes?: 'hosts' | 'files';
}

/** One exit code and when it is used. */
export interface ExitEntry {
  readonly code: number;
  readonly text: string;
}

/** One command of a program. */
export interface CommandEntry {
  readonly name: string;
  readonly text: string;
  /** Paragraphs for the man page. */
  readonly detail: readonly string[];
  readonly arguments?: readonly ArgumentEntry[];
  readonly options?: readonly OptionEntry[];
  /** Beside the program's own. */
  readonly exits?: readonly ExitEntry[];
}

/** A file for the FILES section of the man page. */
export interface FileEntry {
  readonly path: string;
  readonly text: string;
}

/** One program: its command line, help, completions and man page are all made from this. */
export interface ProgramEntry {
  readonly name: string;
  readonly section: 1 | 8;
  readonly text: string;
  readonly detail: readonly string[];
  readonly options: readonly OptionEntry[];
  /** Absent for a program without commands. */
  readonly commands?: readonly CommandEntry[];
  /** The command that runs when none is named. */
  readonly standard?: string;
  readonly exits: readonly ExitEntry[];
  readonly environment: readonly { readonly name: string; readonly text: string }[];
  readonly files: readonly FileEntry[];
  readonly examples: readonly { readonly line: string; readonly text: string }[];
  readonly seeAlso: readonly string[];
}

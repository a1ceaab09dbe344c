import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { ExitEntry, OptionEntry, ProgramEntry } from '../core/program.ts';
import { editDistance, printable } from '../core/text.ts';
import { VERSION } from '../core/version.ts';

/** What a command line asks for. */
export type ParsedCommand =
  | {
      readonly kind: 'run';
      /** Name of the command; '' for a program without commands. */
      readonly command: string;
      readonly arguments: Readonly<Record<string, string>>;
      /** By name without the dashes; a switch is '' when given. Absent when not given. */
      readonly options: Readonly<Record<string, string>>;
    }
  /** Help or version: goes to standard output, exit code 0. */
  | { readonly kind: 'print'; readonly text: string }
  /** A wrong command line: goes to standard error, exit code 2. */
  | { readonly kind: 'wrong'; readonly text: string };

/** Read the arguments of a program (without interpreter and script) against its table. */
export function parseCommandLine(
  program: ProgramEntry,
  argv: readonly string[],
  columns = 80,
): ParsedCommand {
  const words = commandFirst(program, argv);
  const stranger = unknownCommand(program, words[0]);
  if (stranger !== undefined) return wrong(program, stranger);
  let text = '';
  let run: ParsedCommand | undefined;
  const write = (part: string): void => {
    text += part;
  };
  const root = buildProgram(program, (command, args, options) => {
    run = { kind: 'run', command, arguments: args, options };
  });
  for (const each of [root, ...root.commands]) {
    each.exitOverride().configureOutput({
      writeOut: write,
      writeErr: write,
      getOutHelpWidth: () => columns,
      getErrHelpWidth: () => columns,
    });
  }
  try {
    root.parse(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'print', text };
    return wrong(program, text.trimEnd(), words[0]);
  }
  const lonely = run?.kind === 'run' ? optionWithoutPartner(program, run.options) : undefined;
  if (lonely !== undefined) return wrong(program, `error: ${lonely}`);
  return run ?? { kind: 'print', text };
}

function wrong(program: ProgramEntry, text: string, word?: string): ParsedCommand {
  const known = program.commands?.some(({ name }) => name === word) ? ` ${word}` : '';
  return { kind: 'wrong', text: `${text}\nTry: ${program.name}${known} --help\n` };
}

/** Options may stand before the command, its own too; commander would take them for those of the standard command. */
function commandFirst({ commands = [], options }: ProgramEntry, argv: readonly string[]): string[] {
  if (commands.length === 0) return [...argv];
  const takesNext = (word: string | undefined): boolean =>
    options.some(({ name, value }) => name === word && value !== undefined);
  const index = argv.findIndex((word, at) => !word.startsWith('-') && !takesNext(argv[at - 1]));
  const command = argv[index];
  if (command === undefined || argv.slice(0, index).includes('--')) return [...argv];
  return [command, ...argv.slice(0, index), ...argv.slice(index + 1)];
}

/** With a standard command commander takes every other word for an argument of it, which says nothing to people. */
function unknownCommand({ commands = [] }: ProgramEntry, word: string | undefined): string | undefined {
  if (commands.length === 0 || word === undefined || word.startsWith('-')) return undefined;
  if (commands.some(({ name }) => name === word)) return undefined;
  const near = commands.find(
    ({ name }) => editDistance(name, word.slice(0, 20)) <= 2 || name.startsWith(word),
  );
  const hint = near === undefined ? '' : `; did you mean '${near.name}'?`;
  return `error: there is no command '${printable(word, 40)}'${hint}`;
}

type Run = (
  command: string,
  args: Readonly<Record<string, string>>,
  options: Readonly<Record<string, string>>,
) => void;

function buildProgram(program: ProgramEntry, run: Run): Command {
  const root = new Command(program.name)
    .description(`${program.name}: ${program.text}`)
    .version(`${program.name} ${VERSION}`, '--version', 'Print the version')
    .helpOption('-h, --help', 'Print this help')
    .allowExcessArguments(false)
    .showSuggestionAfterError(true);
  addOptions(root, program.options);
  root.addHelpText('after', `\n${exitText(program.exits)}\nMore: man ${program.name}`);
  if (program.commands === undefined) {
    root.action(() => run('', {}, given(root, program.options)));
    return root;
  }
  root.helpCommand(false);
  for (const entry of program.commands) {
    const command = root
      .command(entry.name, { isDefault: entry.name === program.standard })
      .description(entry.text)
      .helpOption('-h, --help', 'Print this help')
      .allowExcessArguments(false);
    if (entry.exits !== undefined) command.addHelpText('after', `\n${exitText(entry.exits)}`);
    for (const { name, text, optional, choices } of entry.arguments ?? []) {
      const each = new Argument(optional === true ? `[${name}]` : `<${name}>`, text);
      command.addArgument(choices === undefined ? each : each.choices([...choices]));
    }
    addOptions(command, entry.options ?? []);
    const names = (entry.arguments ?? []).map((each) => each.name);
    command.action(() => {
      const args = Object.fromEntries(
        names.slice(0, command.args.length).map((name, index) => [name, command.args[index] ?? '']),
      );
      run(entry.name, args, {
        ...given(root, program.options),
        ...given(command, entry.options ?? []),
      });
    });
  }
  return root;
}

function addOptions(command: Command, options: readonly OptionEntry[]): void {
  for (const entry of options) {
    const value = entry.value === undefined ? '' : ` <${entry.value}>`;
    const short = entry.short === undefined ? '' : `${entry.short}, `;
    const option = new Option(`${short}${entry.name}${value}`, entry.text);
    if (entry.choices !== undefined) option.choices([...entry.choices]);
    if (entry.value === 'COUNT') option.argParser(parseCount);
    command.addOption(option);
  }
}

function parseCount(text: string): string {
  if (/^[1-9][0-9]{0,5}$/.test(text)) return text;
  throw new InvalidArgumentError('A whole number from 1 to 999999 is wanted.');
}

/** commander drops the `no-` of a switch and turns its meaning round; here a switch is given or not. */
function given(command: Command, options: readonly OptionEntry[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name } of options) {
    const bare = name.slice(2);
    const negative = bare.startsWith('no-');
    const attribute = (negative ? bare.slice(3) : bare).replace(/-(.)/g, (_, letter: string) =>
      letter.toUpperCase(),
    );
    const value: unknown = command.getOptionValue(attribute);
    if (negative ? value === false : value === true) found[bare] = '';
    else if (typeof value === 'string') found[bare] = value;
  }
  return found;
}

function optionWithoutPartner(
  program: ProgramEntry,
  options: Readonly<Record<string, string>>,
): string | undefined {
  const lonely = program.options.find(
    ({ name, needs }) => needs !== undefined && name.slice(2) in options && !(needs.slice(2) in options),
  );
  return lonely === undefined ? undefined : `option '${lonely.name}' is only for use with '${lonely.needs}'`;
}

const exitText = (exits: readonly ExitEntry[]): string =>
  `Exit codes:\n${exits.map(({ code, text }) => `  ${code}  ${text}`).join('\n')}`;

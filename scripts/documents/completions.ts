import type { ArgumentEntry, CommandEntry, OptionEntry, ProgramEntry } from '../../src/core/program.ts';

const NOTE = 'Made by "npm run documents" from src/control/command-table.ts; do not edit.';
const HELP: readonly OptionEntry[] = [
  { name: '--help', short: '-h', text: 'Print this help' },
  { name: '--version', text: 'Print the version' },
];

/** Words that may follow for one command of a program, or for the program itself. */
function optionsOf(program: ProgramEntry, command?: string): readonly OptionEntry[] {
  const own = program.commands?.find(({ name }) => name === command)?.options ?? [];
  return [...own, ...program.options, ...HELP];
}

const namesOf = (options: readonly OptionEntry[]): string =>
  options.flatMap(({ name, short }) => (short === undefined ? [name] : [name, short])).join(' ');

/** Completion for bash(1). */
export function bashCompletion(program: ProgramEntry): string {
  const commands = program.commands ?? [];
  const all = [program, ...commands].flatMap((each) => each.options ?? []);
  const choices = all.flatMap(({ name, choices: words }) =>
    words === undefined
      ? []
      : [`    ${name}) COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word")); return ;;`],
  );
  const withValue = (value: OptionEntry['value']): string =>
    all
      .flatMap(({ name, short, value: own }) => (own === value ? [name, ...(short ? [short] : [])] : []))
      .join('|');
  const values = [
    ...(withValue('DIR') === '' ? [] : [`    ${withValue('DIR')}) ${bashFiles('-d')}; return ;;`]),
    ...(withValue('FILE') === '' ? [] : [`    ${withValue('FILE')}) ${bashFiles('-f')}; return ;;`]),
    ...(withValue('NAME') === ''
      ? []
      : [`    ${withValue('NAME')}) COMPREPLY=($(compgen -A hostname -- "$word")); return ;;`]),
    ...(withValue('COUNT') === '' ? [] : [`    ${withValue('COUNT')}) return ;;`]),
    ...(withValue('TIME') === '' ? [] : [`    ${withValue('TIME')}) return ;;`]),
  ];
  const names = commands.map(({ name }) => name).join(' ');
  return [
    `# bash completion for ${program.name}. ${NOTE}`,
    '',
    `_${program.name}() {`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is shell
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="" each',
    '  COMPREPLY=()',
    '  case "$before" in',
    ...choices,
    ...values,
    '  esac',
    ...(commands.length === 0
      ? []
      : [
          // biome-ignore lint/suspicious/noTemplateCurlyInString: this is shell
          '  for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
          `    case "$each" in ${commands.map(({ name }) => name).join('|')}) command="$each"; break ;; esac`,
          '  done',
        ]),
    '  case "$command" in',
    ...commands.map((command) => `    ${command.name}) ${bashWords(program, command)} ;;`),
    `    *) COMPREPLY=($(compgen -W '${[names, namesOf(optionsOf(program))].join(' ').trim()}' -- "$word")) ;;`,
    '  esac',
    '}',
    '',
    `complete -F _${program.name} ${program.name}`,
    '',
  ].join('\n');
}

/** Names with blanks stay whole, and folders are not taken for the end; outside a completion there is no compopt. */
const bashFiles = (kind: '-d' | '-f'): string =>
  `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen ${kind} -- "$word")`;

function bashWords(program: ProgramEntry, { name, arguments: args = [] }: CommandEntry): string {
  const words = [...args.flatMap(({ choices = [] }) => choices), namesOf(optionsOf(program, name))].join(' ');
  const hosts = args.some(({ completes }) => completes === 'hosts') ? '-A hostname ' : '';
  const ofWords = `COMPREPLY=($(compgen ${hosts}-W '${words}' -- "$word"))`;
  return args.some(({ completes }) => completes === 'files')
    ? `if [[ $word == -* ]]; then ${ofWords}; else ${bashFiles('-f')}; fi`
    : ofWords;
}

/** Completion for zsh(1). */
export function zshCompletion(program: ProgramEntry): string {
  const argument = (option: OptionEntry, indent: string): string[] => {
    const value = option.value === undefined ? '' : `:${option.value}:${zshValue(option)}`;
    const text = `[${zshText(option.text)}]${value}'`;
    return [option.name, ...(option.short ? [option.short] : [])].map(
      (name) => `${indent}'${name}${text} \\`,
    );
  };
  const programOptions = [...program.options, ...HELP].flatMap((option) => argument(option, '    '));
  const commands = program.commands ?? [];
  if (commands.length === 0) {
    return [
      `#compdef ${program.name}`,
      `# ${NOTE}`,
      '',
      '_arguments \\',
      ...programOptions.map((l) => l.slice(2)),
      '  && return 0',
      '',
    ].join('\n');
  }
  return [
    `#compdef ${program.name}`,
    `# ${NOTE}`,
    '',
    `_${program.name}() {`,
    '  local -a commands',
    '  commands=(',
    ...commands.map(({ name, text }) => `    '${name}:${zshText(text)}'`),
    '  )',
    '  local context state state_descr line',
    '  typeset -A opt_args',
    '  _arguments -C \\',
    ...programOptions,
    "    '1:command:->command' \\",
    "    '*::argument:->argument' && return 0",
    '  case $state in',
    '    command) _describe command commands ;;',
    '    argument)',
    '      case $line[1] in',
    ...commands.flatMap(({ name, options = [], arguments: args = [] }) => [
      `        ${name})`,
      '          _arguments \\',
      ...options.flatMap((option) => argument(option, '            ')),
      ...args.map(
        (each, i) =>
          `            '${i + 1}:${each.optional === true ? ':' : ''}${zshText(each.text)}:${zshWords(each)}' \\`,
      ),
      "            '--help[Print this help]' ;;",
    ]),
    '      esac ;;',
    '  esac',
    '}',
    '',
    `_${program.name} "$@"`,
    '',
  ].join('\n');
}

function zshWords({ choices, completes }: ArgumentEntry): string {
  if (choices !== undefined) return `(${choices.join(' ')})`;
  if (completes === undefined) return ' ';
  return completes === 'hosts' ? '_hosts' : '_files';
}

function zshValue({ value, choices }: OptionEntry): string {
  if (choices !== undefined) return `(${choices.join(' ')})`;
  if (value === 'DIR') return '_files -/';
  if (value === 'NAME') return '_hosts';
  return value === 'FILE' ? '_files' : ' ';
}

const zshText = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&').replaceAll("'", "'\\''");

/** Completion for fish(1). */
export function fishCompletion(program: ProgramEntry): string {
  const commands = program.commands ?? [];
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const line = (option: OptionEntry, condition: string): string => {
    const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
    const value =
      option.value === undefined
        ? ''
        : option.choices !== undefined
          ? ` -x -a ${quote(option.choices.join(' '))}`
          : option.value === 'DIR'
            ? " -x -a '(__fish_complete_directories)'"
            : option.value === 'FILE'
              ? ' -r -F'
              : ' -x';
    return `complete -c ${program.name}${condition} -l ${option.name.slice(2)}${short}${value} -d ${quote(option.text)}`;
  };
  const names = commands.map(({ name }) => name).join(' ');
  return [
    `# fish completion for ${program.name}. ${NOTE}`,
    `complete -c ${program.name} -f`,
    ...[...program.options, ...HELP].map((option) => line(option, '')),
    ...commands.map(
      ({ name, text }) =>
        `complete -c ${program.name} -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d ${quote(text)}`,
    ),
    ...commands.flatMap(({ name, options = [], arguments: args = [] }) => {
      const condition = ` -n '__fish_seen_subcommand_from ${name}'`;
      return [
        ...options.map((option) => line(option, condition)),
        ...args.flatMap((each) =>
          fishWords(each).map((words) => `complete -c ${program.name}${condition}${words}`),
        ),
      ];
    }),
    '',
  ].join('\n');
}

function fishWords({ choices, completes }: ArgumentEntry): readonly string[] {
  if (choices !== undefined) return [` -a '${choices.join(' ')}'`];
  if (completes === undefined) return [];
  return [completes === 'hosts' ? " -a '(__fish_print_hostnames)'" : ' -F'];
}

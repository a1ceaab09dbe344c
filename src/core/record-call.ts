import { printable } from './text.ts';

/** What a call of resolvconf(8) asks for. */
export interface ResolvconfCall {
  readonly command: ResolvconfCommand;
  /** Keys, patterns, files or services, as the command takes them. */
  readonly operands: readonly string[];
  /** What does not exist is no error. */
  readonly force: boolean;
  readonly metric?: string;
  readonly private: boolean;
  readonly nosearch: boolean;
  readonly exclusive: boolean;
  /** A folder before every path. */
  readonly root: string;
}

/** openresolv's letters, and Debian's three words about postponed updates. */
export type ResolvconfCommand =
  | 'a'
  | 'd'
  | 'C'
  | 'c'
  | 'i'
  | 'l'
  | 'L'
  | 'Li'
  | 'p'
  | 'pp'
  | 'x'
  | 'u'
  | 'I'
  | 'D'
  | 'r'
  | 'R'
  | 'v'
  | 'V'
  | 'help'
  | 'version'
  | 'enable-updates'
  | 'disable-updates'
  | 'updates-are-enabled';

/** A command line that cannot be meant. */
export interface WrongCall {
  readonly wrong: string;
}

/**
 * Read the arguments (without interpreter and script) as openresolv, Debian's resolvconf and resolvectl's resolvconf do:
 * options stand before or after the key, alone, together (`-xa`) or with their value (`-m0`); the key follows its command
 * or, in resolvectl's way, comes last (`-a -m 0 -x wg0`). The environment (IF_METRIC, IF_EXCLUSIVE, IF_PRIVATE,
 * IF_NOSEARCH) says the same as the options.
 */
export function readCall(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ResolvconfCall | WrongCall {
  const read = scan(argv);
  if ('wrong' in read) return read;
  const { letters, operands, given, metric, root } = read;
  const command = commandOf(letters, read.long);
  const isOn = (name: string): boolean => /^(yes|true|on|1)$/i.test(env[name] ?? '');
  const privates = letters.filter((letter) => letter === 'p').length;
  const ordered = given === undefined ? operands : [given, ...operands];
  if (NEEDS_OPERAND.has(command) && (ordered[0] ?? '') === '')
    return { wrong: `wanted ${WANTED[command] ?? 'a key'} after -${command}, got none` };
  return {
    command,
    operands: ordered,
    force: letters.includes('f'),
    private: privates > 0 || isOn('IF_PRIVATE'),
    nosearch: privates > 1 || isOn('IF_NOSEARCH'),
    exclusive: letters.includes('x') || isOn('IF_EXCLUSIVE'),
    root,
    ...metricOf(metric ?? env['IF_METRIC']),
  };
}

/** What --help prints. */
export const RESOLVCONF_USAGE = `Usage: resolvconf [OPTIONS] COMMAND [KEY]

Tell dnskeeper about DNS servers. KEY is an interface, or an interface, a dot and a program: eth0.dhclient.

Commands:
  -a KEY        Take resolv.conf(5) text from standard input as the record KEY
  -d KEY        Delete the record KEY, or all that match a pattern
  -C PATTERN    Put matching records behind all others; -c PATTERN takes that back
  -i [PATTERN]  List keys; -Li in the order in which they count
  -l [PATTERN]  Show records as they came (also --list); -L as they count
  -p, -x        Alone: list private (-pp: unsearched) or exclusive keys
  -v [PATTERN]  Print the servers and domains as variables of the shell; -V those of /etc/resolvconf.conf alone
  -u            Have dnskeeperd look again
  -I            Delete all records
  -r SERVICE    Restart a service if it runs; -R prints how
  --version, --help
  --enable-updates, --disable-updates, --updates-are-enabled

Options:
  -f            What does not exist is no error
  -m METRIC     With -a: lower comes first
  -p            With -a: its servers are for its own domains alone; -pp: and those are not searched
  -x            With -a: this record keeps all others out
  --root DIR    Put DIR before every path

More: man resolvconf
`;

/** What the words say so far. */
interface Scan {
  readonly letters: string[];
  readonly operands: string[];
  long?: string;
  /** What followed -a, -d, -C, -c or -r. */
  given?: string;
  metric?: string;
  root: string;
}

function scan(argv: readonly string[]): Scan | WrongCall {
  const found: Scan = { letters: [], operands: [], root: '' };
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    let wrong: string | undefined;
    if (word === '--') found.operands.push(...rest.splice(0));
    else if (word.startsWith('--')) wrong = takeLong(word, rest, found);
    else if (word.startsWith('-') && word !== '-') wrong = takeLetters(word.slice(1), rest, found);
    else found.operands.push(word);
    if (wrong !== undefined) return { wrong };
  }
  return found;
}

/** Gives what is wrong with it, if something is. */
function takeLong(word: string, rest: string[], found: Scan): string | undefined {
  const equals = /^--root(?:=(.*))?$/s.exec(word);
  if (equals === null) {
    if (!LONG.has(word.slice(2))) return `illegal option ${shown(word)}`;
    found.long ??= word.slice(2);
    return undefined;
  }
  const root = equals[1] ?? rest.shift();
  if (!root?.startsWith('/')) return `wanted an absolute folder after --root, got ${shown(root)}`;
  found.root = root === '/' ? '' : root;
  return undefined;
}

const LETTERS = /^[aCcDdfhIiLlmpRruvVx]$/;

/** These take the next word, unless that is an option: then the key comes later. */
const WITH_OPERAND = /^[aCcdr]$/;

/** `-aeth0` holds its key, but `-af eth0` is a pair of options: no key is made of letters that are all options. */
const MORE_LETTERS = /^[fpxm0-9]+$/;

function takeLetters(word: string, rest: string[], found: Scan): string | undefined {
  for (let at = 0; at < word.length; at++) {
    const letter = word[at] ?? '';
    const behind = word.slice(at + 1);
    if (!LETTERS.test(letter)) return `illegal option -${printable(letter, 4)}`;
    if (letter === 'm') {
      const value = behind === '' ? rest.shift() : behind;
      if (value === undefined) return 'wanted a number after -m, got none';
      found.metric = value;
      return undefined;
    }
    found.letters.push(letter);
    if (!WITH_OPERAND.test(letter)) continue;
    if (behind !== '' && !MORE_LETTERS.test(behind)) {
      found.given = behind;
      return undefined;
    }
    if (behind === '' && rest[0]?.startsWith('-') === false) {
      const [key] = rest.splice(0, 1);
      if (key !== undefined) found.given = key;
    }
  }
  return undefined;
}

const LONG: ReadonlySet<string> = new Set([
  'help',
  'version',
  'list',
  'enable-updates',
  'disable-updates',
  'updates-are-enabled',
]);

/** The last command counts; -p and -x alone are commands, and -L with -i is one. */
function commandOf(letters: readonly string[], long: string | undefined): ResolvconfCommand {
  if (long === 'list') return 'l';
  if (long !== undefined) return long as ResolvconfCommand;
  if (letters.includes('h')) return 'help';
  const command = letters.findLast((letter) => !/^[fpxm]$/.test(letter));
  if (command === 'i' || command === 'L') {
    const both = letters.includes('i') && letters.includes('L');
    return both ? 'Li' : command;
  }
  if (command !== undefined) return command as ResolvconfCommand;
  if (letters.includes('p')) return letters.filter((letter) => letter === 'p').length > 1 ? 'pp' : 'p';
  return letters.includes('x') ? 'x' : 'help';
}

const NEEDS_OPERAND: ReadonlySet<ResolvconfCommand> = new Set(['a', 'd', 'C', 'c', 'r']);

const WANTED: Readonly<Partial<Record<ResolvconfCommand, string>>> = {
  d: 'a key or a pattern',
  C: 'a pattern of keys',
  c: 'a pattern of keys',
  r: 'a service',
};

const shown = (word: string | undefined): string =>
  word === undefined ? 'nothing' : `"${printable(word, 40)}"`;

/** Whatever else somebody gives as a metric is no reason to refuse his servers. */
const metricOf = (text: string | undefined): { readonly metric?: string } =>
  text !== undefined && /^[0-9]{1,9}$/.test(text) ? { metric: text } : {};

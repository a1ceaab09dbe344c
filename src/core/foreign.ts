import { type Parsed, parsed, refused } from './parsed.ts';
import type { Found } from './takeover.ts';
import { ascii } from './text.ts';
import { KNOWN_WRITERS, type Writer, writerOfTarget } from './writer.ts';

/**
 * What is done about somebody else's change of /etc/resolv.conf: `reassert` puts ours back; `import` does too, and takes
 * the servers that were written for a while; `yield` lets the other side have the file.
 */
export type ForeignRule = 'reassert' | 'import' | 'yield';

/** Rules by the writer's name in lower case, and one for all others. */
export interface ForeignRules {
  readonly others: ForeignRule;
  readonly by: Readonly<Record<string, ForeignRule>>;
}

/** Everything is put back, the rule unless the configuration has another. */
export const REASSERT_ALL: ForeignRules = { others: 'reassert', by: {} };

/** `"import"`, or a table such as `{ others = "reassert", dhclient = "import" }`. */
export function parseForeignRules(value: unknown): Parsed<ForeignRules> {
  if (typeof value === 'string') return isRule(value) ? parsed({ others: value, by: {} }) : refused(NO_RULE);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refused('neither a word nor a table');
  let others: ForeignRule = 'reassert';
  const by: Record<string, ForeignRule> = {};
  for (const [name, rule] of Object.entries(value)) {
    const writer = name.toLowerCase();
    if (!isRule(rule)) return refused(`${NO_RULE}, for ${ascii(name, 40)}`);
    if (writer === 'others') others = rule;
    else if (KNOWN_WRITERS.some((known) => known.toLowerCase() === writer)) by[writer] = rule;
    else return refused(`${ascii(name, 40)} is no writer that is known; dnskeeper.toml(5) has them`);
  }
  return parsed({ others, by });
}

const RULES: readonly string[] = ['reassert', 'import', 'yield'] satisfies readonly ForeignRule[];

const isRule = (value: unknown): value is ForeignRule => typeof value === 'string' && RULES.includes(value);

const NO_RULE = 'none of "reassert", "import", "yield"';

/** Writers who only say what we know from them already, or who are told apart by other means. */
const NEVER_BY_RULE: readonly string[] = ['NetworkManager', 'systemd-resolved', 'dnskeeper'];

/** The rule for what was found in the place of our link; a file that was removed leaves nothing to take or to yield to. */
export function ruleFor(rules: ForeignRules, found: Found): ForeignRule {
  if (found.kind === 'file') return ruleForWriter(rules, found.writer);
  if (found.kind !== 'link' || found.dangling) return 'reassert';
  const program = writerOfTarget(found.target);
  return ruleForWriter(rules, program === undefined ? { header: '' } : { header: '', program });
}

/** The same for a text that was written through our link. */
export function ruleForWriter({ others, by }: ForeignRules, { program }: Writer): ForeignRule {
  if (program === undefined) return others;
  // An edit of our own text is somebody's all the same.
  if (program === 'dnskeeper') return others === 'import' ? 'reassert' : others;
  return NEVER_BY_RULE.includes(program) ? 'reassert' : (by[program.toLowerCase()] ?? others);
}

/** How the keys of such records begin. */
export const IMPORTED = 'resolv-conf.';

/** The key of the record under which imported servers are kept. */
export const importedKey = ({ program }: Writer): string =>
  `${IMPORTED}${(program ?? 'somebody').replace(/[^A-Za-z0-9-]+/g, '-').toLowerCase()}`;

import { type Parsed, parsed, refused } from './parsed.ts';

declare const brand: unique symbol;

/** A DNS name in lower-case ASCII without trailing dot, at most 253 bytes; `.` is the root. */
export type Domain = string & { readonly [brand]: 'Domain' };

/** The root, which as a routing domain means every name. */
export const ROOT = '.' as Domain;

/**
 * Parse one name (RFC 1035 section 2.3, underscores allowed as in SRV names).
 * Names in other scripts must come as A-labels (`xn--…`): what is stored is what goes over the wire.
 */
export function parseDomain(text: string): Parsed<Domain> {
  if (text === '.') return parsed(ROOT);
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  if (name === '') return refused('an empty name');
  if (name.length > 253) return refused(`a name of ${name.length} bytes; 253 is the most (RFC 1035)`);
  if (/^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/.test(name)) return parsed(name as Domain);
  return refused(
    name
      .split('.')
      .map(labelProblem)
      .find((problem) => problem !== undefined) ?? 'no name',
  );
}

/** Whether `name` is `domain` or stands below it. */
export function isWithin(name: Domain, domain: Domain): boolean {
  return domain === ROOT || name === domain || name.endsWith(`.${domain}`);
}

/** How many labels a name has; the root has none. */
export const labelCount = (name: Domain): number => (name === ROOT ? 0 : name.split('.').length);

/** The name one label up, or undefined for the root. */
export function parentOf(name: Domain): Domain | undefined {
  if (name === ROOT) return undefined;
  const dot = name.indexOf('.');
  return dot < 0 ? ROOT : (name.slice(dot + 1) as Domain);
}

function labelProblem(label: string): string | undefined {
  if (label === '') return 'an empty label (two dots in a row, or a leading dot)';
  if (label.length > 63) return `a label of ${label.length} bytes; 63 is the most (RFC 1035)`;
  if (!/^[a-z0-9_-]+$/.test(label))
    return 'a byte that no host or service name has (letters, digits, - and _ only)';
  return undefined;
}

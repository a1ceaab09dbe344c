import { domainToASCII } from 'node:url';
import { type Domain, parseDomain } from '../core/domain.ts';
import { LookupError } from './lookup-errors.ts';

/** Parse a name from a caller; other scripts become A-labels. `parameter` is what is blamed, `what` how it is called. */
export function readName(text: string, parameter: string, what = 'name'): Domain {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all that is not ASCII
  const plain = /^[\x00-\x7f]*$/.test(text) ? text : domainToASCII(text);
  const name = parseDomain(plain);
  if (name.ok) return name.value;
  throw new LookupError('invalid-argument', parameter, `Invalid ${what} '${text.slice(0, 255)}'`);
}

/** A name that was read, in the letters of who asks: they are shown again, and no server minds. */
export function asWritten(text: string, name: Domain): string {
  const bare = text.replace(/\.$/, '');
  return bare.toLowerCase() === name ? bare : name;
}

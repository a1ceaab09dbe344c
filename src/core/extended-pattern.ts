import { classOf, closingOf } from './glob.ts';

/**
 * A pattern as bash(1) has it with `extglob`, which Debian's interface-order(5) is written in: what glob(7) knows, and
 * `?(a|b)`, `*(a|b)`, `+(a|b)`, `@(a|b)` and `!(a|b)`. Gives what tells whether a text is what it says. However the pattern is
 * made, that takes a bounded number of steps; beyond those, as for a pattern longer than any, the answer is no.
 */
export function extendedPattern(pattern: string): (text: string) => boolean {
  if (pattern.length > MOST_CHARACTERS) return () => false;
  const parts = new Reader(Array.from(pattern)).sequence();
  return (text) => {
    const matching = new Matching(Array.from(text.slice(0, MOST_CHARACTERS)));
    return matching.ends(parts, new Set([0])).has(matching.length) && !matching.isTired;
  };
}

/** Longer than any key, and any pattern that somebody wrote for one. */
const MOST_CHARACTERS = 256;

/** Debian's own patterns take a few hundred. */
const MOST_STEPS = 20_000;

/** One character, any number of any, or one of several sequences. */
type Part = ((character: string) => boolean) | 'any' | Group;

interface Group {
  readonly how: string;
  readonly of: readonly (readonly Part[])[];
}

/** Reads a pattern from its start to its end. */
class Reader {
  readonly #characters: readonly string[];
  readonly #closed: ReadonlySet<number>;
  #at = 0;

  constructor(characters: readonly string[]) {
    this.#characters = characters;
    this.#closed = closedGroups(characters);
  }

  /** Up to the end, or in a group to what ends its alternative. */
  sequence(inGroup = false): readonly Part[] {
    const parts: Part[] = [];
    for (; this.#at < this.#characters.length; this.#at++) {
      if (inGroup && /^[|)]$/.test(this.#characters[this.#at] ?? '')) break;
      parts.push(this.#part());
    }
    return parts;
  }

  #part(): Part {
    const character = this.#characters[this.#at] ?? '';
    if (this.#closed.has(this.#at)) return this.#group(character);
    if (character === '*') return 'any';
    if (character === '?') return () => true;
    const rest = this.#characters.slice(this.#at).join('');
    const end = character === '[' ? closingOf(rest, 0) : -1;
    if (end > 0) {
      this.#at += Array.from(rest.slice(0, end)).length;
      return classOf(rest.slice(1, end));
    }
    const plain = character === '\\' ? (this.#characters[++this.#at] ?? character) : character;
    return (got) => got === plain;
  }

  /** A class that has the end of the group for itself leaves none; then it goes to the end of the pattern. */
  #group(how: string): Group {
    const of: (readonly Part[])[] = [];
    this.#at++;
    do {
      this.#at++;
      of.push(this.sequence(true));
    } while (this.#characters[this.#at] === '|');
    return { how, of };
  }
}

/** Where groups begin that end; the characters of others stand for themselves. */
function closedGroups(characters: readonly string[]): ReadonlySet<number> {
  const open: number[] = [];
  const closed = new Set<number>();
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? '';
    const begun = character === ')' ? open.pop() : undefined;
    if (character === '\\') at++;
    else if (begun !== undefined) closed.add(begun);
    else if (/^[?*+@!]$/.test(character) && characters[at + 1] === '(') open.push(at++);
  }
  return closed;
}

/** One text, and how much was looked at. */
class Matching {
  readonly #text: readonly string[];
  #steps = 0;

  constructor(text: readonly string[]) {
    this.#text = text;
  }

  get length(): number {
    return this.#text.length;
  }

  get isTired(): boolean {
    return this.#steps > MOST_STEPS;
  }

  /** Where the parts can end that start at any of these places. */
  ends(parts: readonly Part[], starts: ReadonlySet<number>): ReadonlySet<number> {
    let places = starts;
    for (const part of parts) {
      if (places.size === 0 || this.isTired) return NOWHERE;
      this.#steps += places.size;
      places = this.#endsOf(part, places);
    }
    return places;
  }

  #endsOf(part: Part, starts: ReadonlySet<number>): ReadonlySet<number> {
    if (part === 'any') return this.#from(Math.min(...starts));
    if (typeof part === 'function')
      return new Set(
        [...starts].filter((at) => at < this.length && part(this.#text[at] ?? '')).map((at) => at + 1),
      );
    if (part.how === '!') return new Set([...starts].flatMap((at) => this.#endsWithout(part, at)));
    const once = this.#alternatives(part, starts);
    if (part.how === '@') return once;
    if (part.how === '?') return both(starts, once);
    const more = this.#again(part, once);
    return part.how === '*' ? both(starts, more) : more;
  }

  #alternatives({ of }: Group, starts: ReadonlySet<number>): ReadonlySet<number> {
    return of.reduce((found, parts) => both(found, this.ends(parts, starts)), NOWHERE);
  }

  #again(group: Group, once: ReadonlySet<number>): ReadonlySet<number> {
    let all = once;
    for (let latest = once; latest.size > 0; all = both(all, latest))
      latest = new Set([...this.#alternatives(group, latest)].filter((at) => !all.has(at)));
    return all;
  }

  #endsWithout(group: Group, at: number): readonly number[] {
    const refused = this.#alternatives(group, new Set([at]));
    return [...this.#from(at)].filter((end) => !refused.has(end));
  }

  #from(at: number): ReadonlySet<number> {
    this.#steps += this.length - at;
    return new Set(Array.from({ length: this.length - at + 1 }, (_, index) => at + index));
  }
}

const both = (a: ReadonlySet<number>, b: ReadonlySet<number>): ReadonlySet<number> => new Set([...a, ...b]);

const NOWHERE: ReadonlySet<number> = new Set();

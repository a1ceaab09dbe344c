/**
 * Whether a text is what a pattern of the shell says (glob(7)): `*`, `?`, `[0-9a]` and `[!x]`, `\` before what stands for
 * itself. Linear in the text for each `*`, so no pattern can make it hang.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  const steps = stepsOf(pattern);
  let at = 0;
  let star = -1;
  let resume = 0;
  const characters = Array.from(text);
  for (let index = 0; index < characters.length; ) {
    const step = steps[at];
    if (step === '*') {
      star = at++;
      resume = index;
    } else if (step?.(characters[index] ?? '')) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++resume;
    } else return false;
  }
  while (steps[at] === '*') at++;
  return at === steps.length;
}

type Step = '*' | ((character: string) => boolean);

function stepsOf(pattern: string): readonly Step[] {
  const steps: Step[] = [];
  for (let index = 0; index < pattern.length; index++) {
    const character = String.fromCodePoint(pattern.codePointAt(index) ?? 0);
    const end = character === '[' ? closingOf(pattern, index) : -1;
    if (character === '*') steps.push('*');
    else if (character === '?') steps.push(() => true);
    else if (end > 0) {
      steps.push(classOf(pattern.slice(index + 1, end)));
      index = end;
    } else if (character === '\\' && index + 1 < pattern.length) {
      const next = pattern[++index];
      steps.push((got) => got === next);
    } else {
      steps.push((got) => got === character);
      index += character.length - 1;
    }
  }
  return steps;
}

/** Where the class ends that opens here, or -1; a bracket that comes first in it stands for itself. */
export function closingOf(pattern: string, open: number): number {
  const first = /^[!^]/.test(pattern.slice(open + 1)) ? open + 2 : open + 1;
  return pattern.indexOf(']', first + 1);
}

/** What a class means, given what stands between its brackets. */
export function classOf(text: string): (character: string) => boolean {
  const negated = /^[!^]/.test(text);
  const members = Array.from((negated ? text.slice(1) : text).matchAll(/(.)-(.)|(.)/gs));
  const isMember = (got: string): boolean =>
    members.some(([, low, high, one]) =>
      one === undefined ? low !== undefined && high !== undefined && low <= got && got <= high : one === got,
    );
  return (got) => isMember(got) !== negated;
}

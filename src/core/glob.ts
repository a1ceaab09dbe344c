/**
 * Whether a text is what a pattern says: `*` stands for any characters, `?` for one, everything else for itself.
 * Linear in the text for each `*`, so no pattern can make it hang.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  const want = Array.from(pattern);
  const got = Array.from(text);
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let index = 0; index < got.length; ) {
    if (want[at] === '*') {
      star = at++;
      resume = index;
    } else if (want[at] === '?' || (at < want.length && want[at] === got[index])) {
      at++;
      index++;
    } else if (star >= 0) {
      // What came after the star did not fit here: let the star take one character more.
      at = star + 1;
      index = ++resume;
    } else return false;
  }
  while (want[at] === '*') at++;
  return at === want.length;
}

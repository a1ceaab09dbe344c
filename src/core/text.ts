/** Text from outside made fit for people: no control, format or bidi characters, at most `most` characters. */
export function printable(text: string, most = 80): string {
  if (text.length <= most && /^[ -~]*$/.test(text)) return text;
  const points = Array.from(text.slice(0, 4 * most).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?'));
  return points.length > most ? `${points.slice(0, most - 3).join('')}...` : points.join('');
}

/** The same for files: printable ASCII only. */
export const ascii = (text: string, most = 80): string => printable(text, most).replace(/[^ -~]/g, '?');

/** Order two texts by code units: the same everywhere, unlike localeCompare. */
export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** How many single-character edits lie between two short words (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

import { structuredPatch } from 'diff';

/** The changed parts of a text as unified diff lines (` `, `+`, `-`, `@@`), without file names. */
export function unifiedDiff(before: string, after: string): string[] {
  // A bound on the search: two texts that share nothing are then shown as all removed and all added.
  const patch = structuredPatch('', '', before, after, undefined, undefined, {
    context: 2,
    maxEditLength: 2000,
  });
  if (patch === undefined) return [...lines(before, '-'), ...lines(after, '+')];
  return patch.hunks.flatMap((hunk) => [
    `@@ -${place(hunk.oldStart, hunk.oldLines)} +${place(hunk.newStart, hunk.newLines)} @@`,
    ...hunk.lines,
  ]);
}

/** Where there are no lines, diff(1) and patch(1) name the line before, which is 0 in an empty file. */
const place = (start: number, count: number): string => `${count === 0 ? start - 1 : start},${count}`;

const lines = (text: string, sign: string): string[] =>
  text === ''
    ? []
    : text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => sign + line);

/** Heights of a column, lowest first. */
const BLOCKS = '▁▂▃▄▅▆▇█';
const PLAIN = '_.-=+*%#';

/**
 * One character for each value, the newest last, as high as it is beside `most`, which is the highest of
 * them unless told; a gap where nothing is known. `unicode`
 * is false for terminals that show ASCII alone.
 */
export function sparkline(
  values: readonly (number | undefined)[],
  width: number,
  unicode: boolean,
  most?: number,
): string {
  if (width <= 0) return '';
  const shown = values.slice(-width);
  const top = most ?? Math.max(0, ...shown.map((value) => value ?? 0));
  const levels = unicode ? BLOCKS : PLAIN;
  const column = (value: number | undefined): string => {
    if (value === undefined) return ' ';
    const level = top === 0 ? 0 : Math.ceil((value / top) * levels.length) - 1;
    return levels[Math.min(Math.max(0, level), levels.length - 1)] ?? ' ';
  };
  return shown.map(column).join('');
}

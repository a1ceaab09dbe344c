/** A duration in the unit people would use: `3.1 ms`, `12 s`, `2 hours`; none where the clock was set back. */
export function durationText(ms: number): string {
  if (ms < 0) return '0 ms';
  if (ms < 100) return `${Number(ms.toPrecision(2))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Number((ms / 1000).toFixed(1))} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  const [value, unit] =
    ms < 7_200_000
      ? [ms / 60_000, 'minutes']
      : ms < 172_800_000
        ? [ms / 3_600_000, 'hours']
        : [ms / 86_400_000, 'days'];
  return `${Math.floor(value)} ${unit}`;
}

/** Milliseconds of a span such as `90s`, `10m` (`10min` as in the configuration), `1h` or `2d`; undefined for anything else. */
export function parseSpan(text: string): number | undefined {
  const match = /^([1-9][0-9]{0,5})(s|m|min|h|d)$/.exec(text);
  const unit = UNIT_MS[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

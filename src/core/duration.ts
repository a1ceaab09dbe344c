/** A duration in the unit people would use: `3.1 ms`, `12 s`, `2 hours`. */
export function durationText(ms: number): string {
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

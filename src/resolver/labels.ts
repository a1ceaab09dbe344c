/** The labels of a name in wire form as the bytes they are, one character each. */
export function labelsOf(name: Buffer): string[] {
  const labels: string[] = [];
  for (let at = 0; at < name.length - 1; at += (name[at] ?? 0) + 1)
    labels.push(name.toString('latin1', at + 1, at + 1 + (name[at] ?? 0)));
  return labels;
}

/** Whether the last labels of a name are these. */
export const endsWith = (labels: readonly string[], suffix: readonly string[]): boolean =>
  labels.length >= suffix.length &&
  suffix.every((label, i) => labels[labels.length - suffix.length + i] === label);

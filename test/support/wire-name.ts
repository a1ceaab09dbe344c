/** A name in wire form, bytes as they are; dots part labels. */
export function wireName(name: string): Buffer {
  const labels = name === '.' ? [] : name.split('.').map((label) => Buffer.from(label, 'latin1'));
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.from([label.length]), label]),
    Buffer.from([0]),
  ]);
}

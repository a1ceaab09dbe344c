import { MANAGER_PATH } from './resolve1-tables.ts';

const PREFIX = `${MANAGER_PATH}/link/`;

/** The object path of a link: systemd escapes a leading digit as `_3` and the digit (2 is `_32`, 12 is `_312`). */
export const linkPath = (ifindex: number): string => `${PREFIX}_3${ifindex}`;

/** The number of the link that a path stands for; undefined when it is no link's. */
export function ifindexOfPath(path: string): number | undefined {
  const digits = path.startsWith(PREFIX) ? /^_3([1-9][0-9]{0,9})$/.exec(path.slice(PREFIX.length)) : null;
  const ifindex = Number(digits?.[1]);
  return digits !== null && ifindex < 2 ** 31 ? ifindex : undefined;
}

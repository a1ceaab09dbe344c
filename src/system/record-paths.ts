import { readdirSync, readFileSync } from 'node:fs';
import { DnskeeperError } from '../core/errors.ts';
import { type InterfaceOf, MOST_FILE_BYTES } from '../core/record.ts';
import { readPlainFile } from './plain-file.ts';

/** Where records lie, and what else there is for them, below a root folder (`` for the machine itself). */
export const recordPaths = (root: string): RecordPaths => ({
  folder: `${root}/run/dnskeeper/records`,
  rules: `${root}/etc/resolvconf.conf`,
  interfaceOrder: `${root}/etc/resolvconf/interface-order`,
  updateScripts: `${root}/etc/resolvconf/update.d`,
  // openresolv's names, then those of Debian's resolvconf.
  head: [`${root}/etc/resolv.conf.head`, `${root}/etc/resolvconf/resolv.conf.d/head`],
  tail: [
    `${root}/etc/resolv.conf.tail`,
    `${root}/etc/resolvconf/resolv.conf.d/base`,
    `${root}/etc/resolvconf/resolv.conf.d/tail`,
  ],
  socket: `${root}/run/dnskeeper/io.dnskeeper`,
});

/** Paths of `recordPaths`. */
export interface RecordPaths {
  readonly folder: string;
  /** openresolv's configuration. */
  readonly rules: string;
  /** Order and programs of Debian's resolvconf. */
  readonly interfaceOrder: string;
  readonly updateScripts: string;
  /** What an administrator wants before and behind everything else. */
  readonly head: readonly string[];
  readonly tail: readonly string[];
  readonly socket: string;
}

/** The links below a root folder (`` for the machine itself), with no more than records need. */
export function linksBelow(root: string): readonly InterfaceOf[] {
  const folder = `${root}/sys/class/net`;
  return namesIn(folder).flatMap((name) => {
    try {
      const ifindex = Number(readFileSync(`${folder}/${name}/ifindex`, 'latin1'));
      return Number.isInteger(ifindex) ? [{ name, ifindex }] : [];
    } catch {
      return []; // it went away between its mention and now
    }
  });
}

/**
 * The text of /etc/resolvconf.conf or a file beside it; undefined when there is none. Bounded, and neither a pipe nor a device, which would
 * never end. Throws DnskeeperError `IO` for anything but a file.
 */
export function readRulesFile(path: string): string | undefined {
  const bytes = readPlainFile(path, MOST_FILE_BYTES, 'followed');
  if (typeof bytes === 'string')
    throw new DnskeeperError('IO', `${bytes} at ${path}; put a plain file there`);
  return bytes?.toString('latin1');
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no sysfs: nothing is known of links
  }
}

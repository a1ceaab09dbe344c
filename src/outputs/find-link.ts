import type { Found } from '../core/takeover.ts';
import { writerOfText } from '../core/writer.ts';
import type { FileFacts, Files } from '../system/files.ts';
import type { Paths } from '../system/paths.ts';

/** No sane resolv.conf is larger; a larger one is left alone, not cut. */
export const MOST_RESOLV_CONF_BYTES = 1 << 20;

/** What stands at /etc/resolv.conf, and a version that differs whenever it was changed or replaced. */
export type FoundLink = Found & { readonly version: string };

/**
 * Look at /etc/resolv.conf. A mounted file is ours when it holds what we want now, or `lastWritten`; a program that does
 * not know what was last written (a fresh start) goes by the header.
 */
export async function findLink(paths: Paths, files: Files, lastWritten?: string): Promise<FoundLink> {
  const facts = await files.look(paths.etcResolvConf);
  if (facts === undefined) return { ...(await missing(paths, files)), version: 'missing' };
  return { ...(await inspect(paths, files, facts, lastWritten)), version: facts.version };
}

async function missing(paths: Paths, files: Files): Promise<Found> {
  const folder = paths.etcResolvConf.slice(0, paths.etcResolvConf.lastIndexOf('/')) || '/';
  return (await files.realPath(folder)) === undefined ? { kind: 'no folder' } : { kind: 'missing' };
}

async function inspect(
  paths: Paths,
  files: Files,
  facts: FileFacts,
  lastWritten: string | undefined,
): Promise<Found> {
  if (facts.kind === 'folder' || facts.kind === 'other') return { kind: facts.kind };
  if (facts.kind === 'link') return inspectLink(paths, files, facts.target ?? '');
  const mounted = await files.isMountPoint(paths.etcResolvConf);
  const text = await textOf(files, paths.etcResolvConf);
  const writer = writerOfText(text);
  const names = facts.names;
  const immutable = files.isImmutable(paths.etcResolvConf) === true;
  if (!mounted) return { kind: 'file', writer, names, immutable, mounted, content: 'foreign' };
  const wanted = await textOf(files, paths.resolvConf);
  const ours = lastWritten === undefined ? writer.program === 'dnskeeper' : text === lastWritten;
  const content = wanted !== '' && text === wanted ? 'current' : ours ? 'ours' : 'foreign';
  return { kind: 'file', writer, names, immutable, mounted, content };
}

async function inspectLink(paths: Paths, files: Files, target: string): Promise<Found> {
  if (target === paths.linkText) return { kind: 'our link' };
  const end = await files.realPath(paths.etcResolvConf);
  if (end !== undefined && end === (await files.realPath(paths.resolvConf))) return { kind: 'our link' };
  return { kind: 'link', target, dangling: end === undefined };
}

/** Too large or unreadable text has no header and equals nothing of ours. */
async function textOf(files: Files, path: string): Promise<string> {
  try {
    return (await files.read(path, MOST_RESOLV_CONF_BYTES))?.toString('latin1') ?? '';
  } catch {
    return '';
  }
}

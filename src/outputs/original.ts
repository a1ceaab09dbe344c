import { DnskeeperError, systemCodeOf } from '../core/errors.ts';
import { handBackTo, isOurs } from '../core/takeover.ts';
import { writerOfText } from '../core/writer.ts';
import type { Files } from '../system/files.ts';
import type { Paths } from '../system/paths.ts';
import { findLink, MOST_RESOLV_CONF_BYTES } from './find-link.ts';

/** What /etc/resolv.conf was, with what stands for a file's content. */
type Former<Content> =
  | { readonly kind: 'none' }
  | { readonly kind: 'link'; readonly target: string }
  | {
      readonly kind: 'file';
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly bytes: Content;
    };

/** What /etc/resolv.conf was before our first change. */
type Original = Former<Buffer>;

/** The same as manifest.json has it: how many bytes the file `content` beside it must hold. */
type Manifest = Former<number>;

/** How a command ended. */
export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

const manifestOf = (paths: Paths): string => `${paths.original}/manifest.json`;
const contentOf = (paths: Paths): string => `${paths.original}/content`;

/** Whether an original is saved. */
export async function isOriginalSaved(paths: Paths, files: Files): Promise<boolean> {
  return (await files.look(manifestOf(paths))) !== undefined;
}

/**
 * Save what stands at /etc/resolv.conf. The manifest is written last: an original counts only when it is wholly on the
 * disk, so that a crash at any moment leaves either the file itself or a complete copy.
 */
export async function saveOriginal(paths: Paths, files: Files): Promise<void> {
  await files.makeFolder(paths.original, 0o755);
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = await files.look(paths.etcResolvConf);
    const manifest = await saveContent(paths, files, before);
    const after = await files.look(paths.etcResolvConf);
    if (before?.version !== after?.version) continue; // written while we read it
    const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
    await files.replace(manifestOf(paths), Buffer.from(text), { mode: 0o600, durable: true });
    return;
  }
  throw new DnskeeperError(
    'IO',
    `wanted to save ${paths.etcResolvConf}, but it changes all the time; stop the program that writes it`,
  );
}

/** The saved original; undefined when there is none. A damaged one is an error. */
async function readOriginal(paths: Paths, files: Files): Promise<Original | undefined> {
  const bytes = await files.read(manifestOf(paths), 4096);
  if (bytes === undefined) return undefined;
  const manifest = parseManifest(bytes.toString('utf8'));
  if (manifest === undefined) throw damaged(paths);
  if (manifest.kind === 'none') return { kind: 'none' };
  if (manifest.kind === 'link') return { kind: 'link', target: manifest.target };
  const content = await files.read(contentOf(paths), MOST_RESOLV_CONF_BYTES);
  if (content?.length !== manifest.bytes) throw damaged(paths);
  return { ...manifest, bytes: content };
}

/** Forget the saved original. The manifest goes first, for the reason in saveOriginal. */
export async function dropOriginal(paths: Paths, files: Files): Promise<void> {
  await files.remove(manifestOf(paths));
  await files.remove(contentOf(paths));
}

/** The link's text when systemd-resolved gets the file; relative, as systemd itself makes it. */
const STUB_LINK = '../run/systemd/resolve/stub-resolv.conf';

/** Give our place to systemd-resolved, which has started: the original, or a link to its stub file where that suits better. */
export async function handBack(paths: Paths, files: Files, mounted: boolean): Promise<void> {
  const original = await readOriginal(paths, files);
  const kind =
    original?.kind === 'file'
      ? { writer: writerOfText(original.bytes.toString('latin1')) }
      : (original?.kind ?? 'none');
  if (original !== undefined && (mounted || handBackTo(kind) === 'original'))
    await putBack(paths, files, original, mounted);
  else if (!mounted) await files.replaceWithLink(paths.etcResolvConf, STUB_LINK);
  await dropOriginal(paths, files);
}

/** Put an original where our link or text is; a mounted file takes only bytes. */
async function putBack(
  paths: Paths,
  files: Files,
  original: Original,
  mounted: boolean,
): Promise<{ readonly told: string }> {
  const at = paths.etcResolvConf;
  if (mounted) await files.overwrite(at, original.kind === 'file' ? original.bytes : Buffer.alloc(0), true);
  else if (original.kind === 'none') await files.remove(at);
  else if (original.kind === 'link') await files.replaceWithLink(at, original.target);
  else return putFileBack(at, files, original);
  return { told: '' };
}

/** Who may not give files away, as the service, still puts the words back; they matter more than whose they are. */
async function putFileBack(
  at: string,
  files: Files,
  original: Original & { readonly kind: 'file' },
): Promise<{ readonly told: string }> {
  const { bytes, mode, uid, gid } = original;
  const isOwn = uid === process.geteuid?.() && gid === process.getegid?.();
  try {
    await files.replace(at, bytes, { mode, ...(isOwn ? {} : { owner: { uid, gid } }), durable: true });
    return { told: '' };
  } catch (error) {
    if (systemCodeOf((error as Error).cause) !== 'EPERM') throw error;
    await files.replace(at, bytes, { mode, durable: true });
    return { told: `; it belonged to user ${uid}, group ${gid} (chown ${uid}:${gid} ${at})` };
  }
}

/**
 * Put the saved original back and forget the copy; works without a daemon (`dnsctl release`, purge of the package).
 * What somebody else has put there in the meantime stays. `lastWritten` is what a running daemon last wrote in place.
 */
export async function restoreOriginal(paths: Paths, files: Files, lastWritten?: string): Promise<Outcome> {
  const name = paths.etcResolvConf;
  if (paths.mode === 'user') return { ok: false, text: `without root dnskeeper never touches ${name}` };
  const found = await findLink(paths, files, lastWritten);
  if (!isOurs(found)) {
    const had = await isOriginalSaved(paths, files);
    await dropOriginal(paths, files);
    const copy = had ? '; the saved original was dropped, because somebody else has taken over since' : '';
    return { ok: true, text: `${name} is not ours and was left as it is${copy}` };
  }
  const original = await readOriginal(paths, files);
  const mounted = found.kind === 'file';
  if (original === undefined) return leaveCopy(paths, files, mounted);
  const { told } = await putBack(paths, files, original, mounted);
  await dropOriginal(paths, files);
  return { ok: true, text: `${name}: ${await toldOf(original, paths, files)}${told}` };
}

/** Whose a file is. */
interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whom the saved original belongs to, when it is a file. */
export async function ownerOfOriginal(paths: Paths, files: Files): Promise<Owner | undefined> {
  const original = await readOriginal(paths, files);
  return original?.kind === 'file' ? { uid: original.uid, gid: original.gid } : undefined;
}

/** Give the file that was just put back to its owner; whether that was still to be done. */
export async function giveToOwner(paths: Paths, files: Files, owner: Owner): Promise<boolean> {
  const found = await files.look(paths.etcResolvConf);
  if (found?.kind !== 'file' || (found.uid === owner.uid && found.gid === owner.gid)) return false;
  const bytes = await files.read(paths.etcResolvConf, MOST_RESOLV_CONF_BYTES);
  if (bytes === undefined) return false;
  await files.replace(paths.etcResolvConf, bytes, { mode: found.mode, owner, durable: true });
  return true;
}

/** `dnsctl release` while no daemon runs: the next one must not take the file again at once. */
export async function releaseWithoutDaemon(paths: Paths, files: Files): Promise<Outcome> {
  if (paths.mode === 'system') await markReleased(paths, files);
  return restoreOriginal(paths, files);
}

/** Remember over restarts that an administrator released the link. */
export async function markReleased(paths: Paths, files: Files): Promise<void> {
  await files.makeFolder(paths.released.slice(0, paths.released.lastIndexOf('/')), 0o755);
  const text = 'Made by "dnsctl release"; "dnsctl takeover" removes it.\n';
  await files.replace(paths.released, Buffer.from(text), { durable: true });
}

async function saveContent(
  paths: Paths,
  files: Files,
  found: Awaited<ReturnType<Files['look']>>,
): Promise<Record<string, unknown>> {
  if (found === undefined) return { kind: 'none' };
  if (found.kind === 'link') return { kind: 'link', target: found.target ?? '' };
  const bytes = await files.read(paths.etcResolvConf, MOST_RESOLV_CONF_BYTES);
  if (bytes === undefined) return { kind: 'none' };
  await files.replace(contentOf(paths), bytes, { mode: 0o600, durable: true });
  return { kind: 'file', mode: found.mode, uid: found.uid, gid: found.gid, bytes: bytes.length };
}

function parseManifest(text: string): Manifest | undefined {
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { kind, target, mode, uid, gid, bytes } = value;
  if (kind === 'none') return { kind };
  if (kind === 'link' && typeof target === 'string' && target !== '') return { kind, target };
  if (kind !== 'file' || !isCount(mode) || !isCount(uid) || !isCount(gid) || !isCount(bytes))
    return undefined;
  return mode <= 0o7777 ? { kind, mode, uid, gid, bytes } : undefined;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function damaged(paths: Paths): DnskeeperError {
  return new DnskeeperError(
    'IO',
    `wanted the saved original in ${paths.original}, got something damaged; write ${paths.etcResolvConf} by hand, then remove that folder`,
  );
}

/** Our link without a saved original (somebody else made it): leave a plain file, so that names still resolve without us. */
async function leaveCopy(paths: Paths, files: Files, mounted: boolean): Promise<Outcome> {
  const name = paths.etcResolvConf;
  if (mounted) return { ok: true, text: `${name} keeps its present text, because no original was saved` };
  const bytes =
    (await files.read(paths.upstreamConf, MOST_RESOLV_CONF_BYTES)) ??
    (await files.read(paths.resolvConf, MOST_RESOLV_CONF_BYTES));
  if (bytes === undefined) {
    await files.remove(name);
    return { ok: true, text: `${name} was removed: it was our link, and no original was saved` };
  }
  await files.replace(name, bytes, { durable: true });
  return { ok: true, text: `${name} is now a plain copy of the last servers, because no original was saved` };
}

async function toldOf(original: Original, paths: Paths, files: Files): Promise<string> {
  if (original.kind === 'none') return 'removed, as there was none before';
  if (original.kind === 'file') return 'the original file was put back';
  const dangling = (await files.realPath(paths.etcResolvConf)) === undefined;
  return `the original link to ${original.target} was put back${dangling ? '; nothing is there at the moment' : ''}`;
}

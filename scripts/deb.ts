/**
 * `npm run deb`: dist/dnskeeper_<version>_<architecture>.deb, by plain dpkg-deb.
 * Two builds of one commit with the same tools give the same bytes.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle } from './bundle.ts';
import {
  checksums,
  controlText,
  copyrightText,
  debianChangelog,
  kilobytes,
  scriptText,
} from './deb-control.ts';
import {
  type Architecture,
  fetchRuntime,
  isArchitecture,
  npmArchitecture,
  type Runtime,
} from './deb-runtime.ts';
import { configurationFiles, packageEntries, settle, writeTree } from './deb-tree.ts';

/** What to build and how. */
export interface DebOptions {
  /** The source tree. */
  readonly root: string;
  /** Where the package and the bundles go. */
  readonly dist: string;
  readonly architecture: Architecture;
  readonly runtime: Runtime;
  /** The time that stands on everything, in seconds since 1970. */
  readonly seconds: number;
  /** xz takes about half a minute; none is for tests. */
  readonly compression: 'xz' | 'none';
}

const SCRIPTS = ['postinst', 'prerm', 'postrm'];

/** Build the package; gives its path. */
export async function buildDeb(options: DebOptions): Promise<string> {
  const { root, dist, architecture, runtime, seconds } = options;
  needTools();
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const bundles = join(dist, 'bundle');
  const { packages } = await bundle(root, bundles);

  const tree = join(dist, `tree-${architecture}`);
  rmSync(tree, { recursive: true, force: true });
  const template = readFileSync(join(root, 'packaging/control'), 'utf8');
  const maintainer = /^Maintainer: (.+)$/m.exec(template)?.[1] ?? '';
  const entries = packageEntries({
    root,
    bundles,
    node: runtime.node,
    koffi: runtime.koffi,
    npmArchitecture: npmArchitecture(architecture),
    changelog: debianChangelog(
      readFileSync(join(root, 'CHANGELOG.md'), 'utf8'),
      version,
      maintainer,
      seconds,
    ),
    copyright: copyrightText(root, runtime.node, [...packages, 'koffi'].sort()),
  });
  writeTree(tree, entries, seconds);
  const configuration = configurationFiles(entries);
  writeControl(tree, seconds, {
    control: controlText(template, { version, architecture, installedKilobytes: kilobytes(tree) }),
    conffiles: configuration.map((path) => `${path}\n`).join(''),
    triggers: readFileSync(join(root, 'packaging/triggers'), 'utf8'),
    md5sums: checksums(tree, configuration),
    ...Object.fromEntries(SCRIPTS.map((name) => [name, scriptText(join(root, 'packaging'), name)])),
  });

  const target = join(dist, `dnskeeper_${version}_${architecture}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', `-Z${options.compression}`, '--build', tree, target], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
  });
  rmSync(tree, { recursive: true });
  return target;
}

function writeControl(tree: string, seconds: number, files: Readonly<Record<string, string>>): void {
  const folder = join(tree, 'DEBIAN');
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), SCRIPTS.includes(name) ? 0o755 : 0o644);
  }
  settle(tree, seconds);
}

/** The time that stands on everything: SOURCE_DATE_EPOCH, or that of the last commit. */
function sourceDate(root: string): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  const text = given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  const seconds = Number(text);
  if (!Number.isSafeInteger(seconds) || seconds <= 0)
    throw new Error(`wanted seconds since 1970 in SOURCE_DATE_EPOCH, got "${text}"`);
  return seconds;
}

function needTools(): void {
  for (const [tool, from] of [
    ['dpkg-deb', 'dpkg'],
    ['tar', 'tar'],
  ] as const)
    if (!(process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, tool))))
      throw new Error(
        `wanted ${tool} to build the package, but there is none; on Debian: apt install ${from}`,
      );
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
      dist: { type: 'string' },
      uncompressed: { type: 'boolean', default: false },
    },
  });
  if (!isArchitecture(values.arch)) throw new Error(`wanted --arch amd64 or arm64, got ${values.arch}`);
  const root = join(import.meta.dirname, '..');
  const dist = values.dist ?? join(root, 'dist');
  const runtime = fetchRuntime(root, join(dist, 'runtime'), values.arch);
  if (!runtime.stripped)
    console.log(
      'node keeps its symbol table (18 MB): there is no strip(1) for its architecture (apt install binutils)',
    );
  const target = await buildDeb({
    root,
    dist,
    architecture: values.arch,
    runtime,
    seconds: sourceDate(root),
    compression: values.uncompressed ? 'none' : 'xz',
  });
  console.log(`${target}  ${(statSync(target).size / 1e6).toFixed(1)} MB`);
}

/**
 * `npm run build`: every program as one ES module in dist/bundle.
 *
 * CommonJS would start 3 to 5 ms sooner, but it knows no top-level await, so the shipped programs would not be the ones
 * that the tests run. V8's code cache (12 ms for the daemon, 2 ms for dnsctl) is not worth a file that is bound to one
 * build of Node. Whitespace goes, names stay and lines are kept short, so that a stack trace in the journal reads without
 * a source map; the maps beside the bundles are for people and do not enter the package.
 */
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

/** The programs and the worker threads, and the files they start in. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  dnskeeperd: 'src/main.ts',
  dnsctl: 'src/dnsctl.ts',
  resolvconf: 'src/resolvconf.ts',
  hooks: 'src/system/hooks-program.ts',
  'fast-path-worker': 'src/resolver/fast-path-worker.ts',
};

/** Not in the bundles: koffi is shipped beside them, the others are optional parts of dbus-next that nothing here uses. */
const EXTERNAL = ['koffi', 'usocket', 'x11'];

/** What a bundle is made of, for the copyright file. */
export interface Bundled {
  /** Names of the npm packages whose code is in it, sorted. */
  readonly packages: readonly string[];
}

/** Bundle `programs` of the source tree `root` into `folder`, replacing what is there. */
export async function bundle(
  root: string,
  folder: string,
  programs: Readonly<Record<string, string>> = PROGRAMS,
): Promise<Bundled> {
  for (const source of Object.values(programs))
    if (!existsSync(join(root, source))) throw new Error(`wanted ${source} to bundle, but there is none`);
  await rm(folder, { recursive: true, force: true });
  const result = await build({
    absWorkingDir: root,
    entryPoints: Object.entries(programs).map(([name, source]) => ({ in: join(root, source), out: name })),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    external: EXTERNAL,
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    legalComments: 'none',
    sourcemap: 'external',
    // CommonJS packages inside the bundle call require() for Node's own modules.
    banner: {
      js: 'import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);',
    },
    metafile: true,
    logLevel: 'warning',
  });
  const bundled = { packages: packagesOf(Object.keys(result.metafile.inputs)) };
  await writeFile(join(folder, 'contents.json'), `${JSON.stringify(bundled, undefined, 2)}\n`);
  return bundled;
}

/** `node_modules/@scope/name/file.js` and `node_modules/a/node_modules/b/file.js` belong to `@scope/name` and `a/node_modules/b`. */
function packagesOf(inputs: readonly string[]): readonly string[] {
  const names = inputs.flatMap((input) => {
    const match = /(?:^|\/)node_modules\/((?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(input);
    return match?.[1] === undefined ? [] : [match[1]];
  });
  return [...new Set(names)].sort();
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const folder = join(root, 'dist/bundle');
  await bundle(root, folder);
  for (const name of Object.keys(PROGRAMS)) {
    const { length } = await readFile(join(folder, `${name}.mjs`));
    console.log(`dist/bundle/${name}.mjs  ${Math.round(length / 1000)} kB`);
  }
}

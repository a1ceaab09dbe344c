import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Fill the `@NAME@` places of packaging/control. */
export function controlText(
  template: string,
  values: { readonly version: string; readonly architecture: string; readonly installedKilobytes: number },
): string {
  const places: Readonly<Record<string, string>> = {
    VERSION: values.version,
    ARCHITECTURE: values.architecture,
    INSTALLED_SIZE: String(values.installedKilobytes),
  };
  return template.replace(/@([A-Z_]+)@/g, (place, name: string) => places[name] ?? place);
}

/** A maintainer script with its `#INCLUDE file#` lines replaced by that file. */
export const scriptText = (packaging: string, name: string): string =>
  readFileSync(join(packaging, name), 'utf8').replace(/^#INCLUDE (\S+)#$/gm, (_, file: string) =>
    readFileSync(join(packaging, file), 'utf8').trimEnd(),
  );

/** The md5sums control file, which `dpkg --verify` reads: every file below `folder` that is no configuration file. */
export function checksums(folder: string, except: readonly string[]): string {
  return filesBelow(folder)
    .filter((path) => !except.includes(`/${path}`))
    .map(
      (path) =>
        `${createHash('md5')
          .update(readFileSync(join(folder, path)))
          .digest('hex')}  ${path}\n`,
    )
    .join('');
}

/** What dpkg calls Installed-Size: kilobytes, each file rounded up, one for each folder. */
export const kilobytes = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).reduce(
    (sum, entry) =>
      sum + (entry.isFile() ? Math.ceil(statSync(join(entry.parentPath, entry.name)).size / 1024) : 1),
    0,
  );

/**
 * The Debian changelog out of CHANGELOG.md, whose sections are `## VERSION - DATE` and whose entries are list items.
 * The newest section must be the version that is built.
 */
export function debianChangelog(
  markdown: string,
  version: string,
  maintainer: string,
  seconds: number,
): string {
  const sections = markdown.split(/^## /m).slice(1);
  const released = sections.filter((section) => /^\[?[0-9]/.test(section));
  const newest = /^\[?([0-9][^\s\]]*)/.exec(released[0] ?? '')?.[1];
  if (newest !== version)
    throw new Error(
      `wanted "## ${version} - DATE" as the newest version in CHANGELOG.md, got ${newest ?? 'none'}`,
    );
  return released.map((section) => changelogSection(section, maintainer, seconds)).join('\n');
}

/** The copyright file: our licence, the runtime's, and that of every package inside the bundles. */
export function copyrightText(root: string, node: string, packages: readonly string[]): string {
  const parts = [
    ['dnskeeper', join(root, 'LICENSE')],
    ['Node.js (/usr/lib/dnskeeper/node), with what it contains', join(node, 'LICENSE')],
    ...packages.map((name) => [`${name} (npm)`, licenceFile(root, name)]),
  ];
  const texts = parts.map(([title = '', file = '']) => {
    const text = readFileSync(file, 'utf8').trim();
    return `${title}\n${'='.repeat(title.length)}\n\n${text}\n`;
  });
  return `dnskeeper carries its own runtime and libraries. Each part and its licence:\n\n${texts.join('\n\n')}`;
}

function changelogSection(section: string, maintainer: string, seconds: number): string {
  const [heading = '', ...lines] = section.split('\n');
  const [, version = '', date] = /^\[?([0-9][^\s\]]*)\]?(?:\s+-\s+([0-9-]{10}))?/.exec(heading) ?? [];
  const items = listItems(lines);
  const time = date === undefined ? new Date(seconds * 1000) : new Date(`${date}T00:00:00Z`);
  const stamp = time.toUTCString().replace('GMT', '+0000');
  return `dnskeeper (${version}) unstable; urgency=medium\n\n${items.map((item) => `  * ${item}\n`).join('')}\n -- ${maintainer}  ${stamp}\n`;
}

/** List items, each on one line; wrapped lines are joined. */
function listItems(lines: readonly string[]): readonly string[] {
  const items: string[] = [];
  for (const line of lines) {
    if (/^[-*] /.test(line)) items.push(line.slice(2).trim());
    else if (/^\s+\S/.test(line) && items.length > 0) items.push(`${items.pop()} ${line.trim()}`);
  }
  return items.length === 0 ? ['See the project.'] : items;
}

/** A package that offers several licences is taken under the last by name (MIT rather than Apache). */
function licenceFile(root: string, name: string): string {
  const folder = join(root, 'node_modules', name);
  const file = readdirSync(folder)
    .filter((entry) => /^(licen[cs]e|copying)/i.test(entry))
    .sort()
    .at(-1);
  if (file === undefined)
    throw new Error(
      `wanted the licence of the npm package ${name}, but it has no such file; it may not be shipped`,
    );
  return join(folder, file);
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

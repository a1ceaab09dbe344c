import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** One entry of the package's file tree. */
export type Entry =
  | { readonly to: string; readonly folder: true }
  | {
      readonly to: string;
      readonly folder?: false;
      readonly content: string | { readonly file: string };
      readonly mode?: number;
      readonly gzip?: boolean;
    };

/** What `packageEntries` takes the files from. */
export interface TreeInputs {
  /** The source tree. */
  readonly root: string;
  /** Folder of the bundles. */
  readonly bundles: string;
  readonly node: string;
  readonly koffi: string;
  /** npm's name of the architecture. */
  readonly npmArchitecture: string;
  readonly changelog: string;
  readonly copyright: string;
}

const LIB = 'usr/lib/dnskeeper';
const DOC = 'usr/share/doc/dnskeeper';

/** Everything the package holds, without control files. Documents that `npm run documents` makes must be there. */
export function packageEntries(inputs: TreeInputs): readonly Entry[] {
  const from = (path: string): { file: string } => ({ file: join(inputs.root, path) });
  return [
    { to: `${LIB}/node`, content: { file: join(inputs.node, 'bin/node') }, mode: 0o755 },
    ...['dnskeeperd', 'dnsctl', 'resolvconf', 'hooks', 'fast-path-worker'].map((name) => ({
      to: `${LIB}/${name}.mjs`,
      content: { file: join(inputs.bundles, `${name}.mjs`) },
    })),
    ...koffiEntries(inputs),
    { to: `${LIB}/conf.d`, folder: true },
    { to: 'etc/dnskeeper/conf.d', folder: true },
    { to: 'etc/dnskeeper/dnsmasq.d', folder: true },
    { to: 'etc/dnskeeper/hooks.d', folder: true },
    { to: 'etc/dnskeeper/unbound.d', folder: true },
    { to: 'usr/sbin/dnskeeperd', content: from('packaging/dnskeeperd'), mode: 0o755 },
    { to: 'usr/bin/dnsctl', content: from('packaging/dnsctl'), mode: 0o755 },
    { to: `${LIB}/resolvconf`, content: from('packaging/resolvconf'), mode: 0o755 },
    ...callerEntries(inputs.root),
    ...['dnskeeper.service', 'dnskeeper.socket', 'dnskeeper-hooks.socket', 'dnskeeper-hooks@.service'].map(
      (name) => ({
        to: `usr/lib/systemd/system/${name}`,
        content: from(`systemd/${name}`),
      }),
    ),
    { to: `${LIB}/systemd-resolved.conf`, content: from('systemd/systemd-resolved.conf') },
    {
      to: 'usr/lib/systemd/system-generators/dnskeeper-generator',
      content: from('packaging/dnskeeper-generator'),
      mode: 0o755,
    },
    {
      to: 'usr/lib/dbus-1/system-services/org.freedesktop.resolve1.service',
      content: from('packaging/dbus/org.freedesktop.resolve1.service'),
    },
    { to: 'usr/share/dbus-1/system.d/dnskeeper.conf', content: from('packaging/dbus/dnskeeper.conf') },
    {
      to: 'usr/share/polkit-1/actions/io.dnskeeper.resolve1.policy',
      content: from('packaging/polkit/io.dnskeeper.resolve1.policy'),
    },
    ...['nameservice.d', 'nameservice-strict.d'].map((folder) => ({
      to: `etc/apparmor.d/abstractions/${folder}/dnskeeper`,
      content: from('packaging/apparmor/dnskeeper'),
    })),
    ...manEntries(inputs.root),
    ...completionEntries(inputs.root),
    { to: `${DOC}/copyright`, content: inputs.copyright },
    { to: `${DOC}/changelog.gz`, content: inputs.changelog, gzip: true },
    ...['dnskeeper.toml', 'profiles.toml', 'dnskeeper-metrics.service', 'dnskeeper-metrics.timer'].map(
      (name) => ({
        to: `${DOC}/examples/${name}`,
        content: from(`examples/${name}`),
      }),
    ),
    { to: 'usr/share/lintian/overrides/dnskeeper', content: from('packaging/lintian-overrides') },
  ];
}

/** Files that dpkg keeps when an administrator changed them: all below /etc. */
export const configurationFiles = (entries: readonly Entry[]): readonly string[] =>
  entries.filter((entry) => !entry.folder && entry.to.startsWith('etc/')).map((entry) => `/${entry.to}`);

/** Put the entries below `folder`, with exact modes and one time for all. */
export function writeTree(folder: string, entries: readonly Entry[], seconds: number): void {
  const missing = entries.flatMap((entry) =>
    entry.folder || typeof entry.content === 'string' || existsSync(entry.content.file)
      ? []
      : [entry.content.file],
  );
  if (missing.length > 0)
    throw new Error(
      `wanted for the package, but not there: ${missing.join(', ')}; documents are made by scripts/documents.ts`,
    );
  for (const entry of entries) {
    const path = join(folder, entry.to);
    if (entry.folder) mkdirSync(path, { recursive: true });
    else {
      mkdirSync(dirname(path), { recursive: true });
      const bytes =
        typeof entry.content === 'string' ? Buffer.from(entry.content) : readFileSync(entry.content.file);
      writeFileSync(path, entry.gzip ? gzipSync(bytes, { level: 9 }) : bytes);
      chmodSync(path, entry.mode ?? 0o644);
    }
  }
  settle(folder, seconds);
}

/** Folders 0755 whatever the umask, and the same time on everything: two builds of one commit give the same bytes. */
export function settle(folder: string, seconds: number): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) settle(path, seconds);
    else utimesSync(path, seconds, seconds);
  }
  chmodSync(folder, 0o755);
  utimesSync(folder, seconds, seconds);
}

/** koffi's loader and the one native library for glibc on this processor: 1.2 MB of the 14 MB that npm installs. */
function koffiEntries({ root, koffi, npmArchitecture }: TreeInputs): readonly Entry[] {
  const loader = 'node_modules/koffi';
  const native = `node_modules/@koromix/koffi-linux-${npmArchitecture}`;
  const library = `linux_${npmArchitecture}/koffi.node`;
  return [
    ...['package.json', 'index.cjs', 'src/koffi/index.cjs', 'src/koffi/src/static.cjs'].map((file) => ({
      to: `${LIB}/${loader}/${file}`,
      content: { file: join(root, loader, file) },
    })),
    ...['package.json', 'index.js', library].map((file) => ({
      to: `${LIB}/${native}/${file}`,
      content: { file: join(koffi, file) },
    })),
  ];
}

const MANUALS = ['dnsctl.1', 'dnskeeper.toml.5', 'dnskeeperd.8', 'dnskeeper-resolvconf.8'];

function manEntries(root: string): readonly Entry[] {
  return MANUALS.map((name) => ({
    to: `usr/share/man/man${name.slice(-1)}/${name}.gz`,
    content: { file: join(root, 'docs/man', name) },
    gzip: true,
  }));
}

/** Hooks of programs that know resolvconf only by a hook, under names that no other resolvconf has. */
function callerEntries(root: string): readonly Entry[] {
  return [
    ['dhclient', 'etc/dhcp/dhclient-enter-hooks.d/dnskeeper', 0o644],
    ['if-up', 'etc/network/if-up.d/dnskeeper', 0o755],
    ['if-down', 'etc/network/if-down.d/dnskeeper', 0o755],
    ['ppp-up', 'etc/ppp/ip-up.d/dnskeeper', 0o755],
    ['ppp-down', 'etc/ppp/ip-down.d/dnskeeper', 0o755],
  ].map(([name, to, mode]) => ({
    to: String(to),
    content: { file: join(root, 'packaging/callers', String(name)) },
    mode: Number(mode),
  }));
}

/** Where each shell looks for completions that packages bring. */
function completionEntries(root: string): readonly Entry[] {
  return ['dnsctl', 'dnskeeperd'].flatMap((program) =>
    [
      [`${program}.bash`, `usr/share/bash-completion/completions/${program}`],
      [`_${program}`, `usr/share/zsh/vendor-completions/_${program}`],
      [`${program}.fish`, `usr/share/fish/vendor_completions.d/${program}.fish`],
    ].map(([name = '', to = '']) => ({ to, content: { file: join(root, 'docs/completions', name) } })),
  );
}

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { succeed } from './processes.ts';

/** The real openresolv below a folder of its own: nothing of it touches this machine. */
export interface Openresolv {
  readonly root: string;
  readonly program: string;
  remove(): void;
}

/** How a call ended. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Unpack Debian's package, fetched with apt once, and move every folder that its scripts know below a new one. Its
 * subscribers but libc's are taken out: they look for name servers of this machine.
 */
export async function unpackOpenresolv(): Promise<Openresolv> {
  const root = mkdtempSync(join(tmpdir(), `dk-${process.pid}-openresolv-`));
  await succeed('dpkg-deb', ['--extract', await openresolvPackage(), root]);
  const libexec = join(root, 'lib/resolvconf');
  for (const name of readdirSync(libexec))
    if (name !== 'libc') rmSync(join(libexec, name), { recursive: true });
  mkdirSync(join(root, 'run'), { recursive: true });
  rmSync(join(root, 'etc/resolvconf.conf'), { force: true });
  const program = join(root, 'sbin/resolvconf');
  for (const script of [program, join(libexec, 'libc')]) {
    const moved = readFileSync(script, 'utf8')
      .replace(/^(SYSCONFDIR|LIBEXECDIR|VARDIR)=/gm, `$1=${root}`)
      .replaceAll('/etc/resolv.conf', `${root}/etc/resolv.conf`)
      .replaceAll('/sbin/resolvconf', program)
      // Restarting services is what a machine has to be asked for, and none is.
      .replace(/^RESTARTCMD=$/m, 'RESTARTCMD=:');
    writeFileSync(script, moved);
  }
  return { root, program, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** A copy of it without any state. */
export function freshOpenresolv({ root, program }: Openresolv): Openresolv {
  const copy = mkdtempSync(join(tmpdir(), `dk-${process.pid}-openresolv-`));
  cpSync(root, copy, { recursive: true });
  for (const script of ['sbin/resolvconf', 'lib/resolvconf/libc'])
    writeFileSync(join(copy, script), readFileSync(join(root, script), 'utf8').replaceAll(root, copy));
  return {
    root: copy,
    program: program.replace(root, copy),
    remove: () => rmSync(copy, { recursive: true, force: true }),
  };
}

/** Run a command with `input`; any exit code is an answer. */
export function call(
  command: readonly string[],
  input: string,
  env: Readonly<Record<string, string>> = {},
): Ended {
  const [program = '', ...arguments_] = command;
  const { status, stdout, stderr } = spawnSync(program, arguments_, {
    input,
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...env },
    timeout: 20_000,
  });
  return { code: status, out: stdout, err: stderr };
}

async function openresolvPackage(): Promise<string> {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? '/var/cache', 'dnskeeper-lab/openresolv');
  const find = (): string | undefined =>
    existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith('.deb')) : undefined;
  if (find() === undefined) {
    const fetched = mkdtempSync(join(tmpdir(), `dk-${process.pid}-apt-`));
    const fetch = 'cd "$0" && apt-get -o APT::Sandbox::User=root -qq download openresolv';
    if (spawnSync('sh', ['-c', fetch, fetched], { stdio: 'ignore', timeout: 120_000 }).status !== 0) {
      await succeed('apt-get', ['-qq', 'update'], 300_000);
      await succeed('sh', ['-c', fetch, fetched], 120_000);
    }
    rmSync(folder, { recursive: true, force: true });
    cpSync(fetched, `${folder}.${process.pid}`, { recursive: true });
    renameSync(`${folder}.${process.pid}`, folder);
    rmSync(fetched, { recursive: true });
  }
  const found = find();
  if (found === undefined) throw new Error('wanted apt to fetch the package openresolv, but it did not');
  return join(folder, found);
}

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { until } from '../support/until.ts';
import { pristineTree, type Suite } from './debian.ts';
import { PATIENCE_MS } from './patience.ts';
import { end, hold, type Result, run } from './processes.ts';

/** A booted Debian: real systemd, D-Bus, NetworkManager and systemd-resolved, in namespaces of its own. */
export interface Machine {
  readonly suite: Suite;
  /** Host-side id of its PID 1; the door to all its namespaces. */
  readonly pid: number;
  /** Run a shell command inside, as root; any exit code is an answer. */
  run(command: string, options?: { readonly timeoutMs?: number }): Promise<Result>;
  /** Run a shell command that has to succeed; gives its output without the last newline. */
  ok(command: string, options?: { readonly timeoutMs?: number }): Promise<string>;
  /** Wait until a shell condition holds inside. */
  until(condition: string, what: string, ms?: number): Promise<void>;
  /** Copy a file of the host inside. */
  copyIn(hostPath: string, path: string): Promise<void>;
  writeFile(path: string, text: string | Uint8Array): Promise<void>;
  /** Text of a file, links followed as inside. */
  readFile(path: string): Promise<string>;
  /** Where the host sees a path of the machine; only for paths without absolute links on the way. */
  hostPath(path: string): string;
  /** What a unit logged since boot. */
  journal(unit: string): Promise<string>;
  /** Shut down as a user does, so that every service stops in order. */
  powerOff(): Promise<void>;
  /** End it at once. Everything of it is in memory and goes with it. */
  destroy(): Promise<void>;
}

/** Boot a fresh machine; what it writes is kept in memory and forgotten at the end. */
export async function bootMachine(options: {
  readonly suite: Suite;
  readonly name: string;
}): Promise<Machine> {
  const { suite } = options;
  const tree = await pristineTree(suite);
  const id = `dk-${process.pid}-${options.name}`;
  const folder = await mkdtemp(join(tmpdir(), `${id}-`));
  const console_ = join(folder, 'console.log');
  const launcher = hold('unshare', launchArguments(id, tree, folder), console_);
  const destroy = async (): Promise<void> => {
    await end(launcher);
    await until(() => removeControlGroups(id), `the last process of ${id} is gone`, PATIENCE_MS);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const gone = (): boolean => launcher.exitCode !== null || launcher.signalCode !== null;
    const machine = machineAt(suite, await initOf(launcher.pid ?? 0, gone), destroy, gone);
    await bootEnded(machine, gone);
    return machine;
  } catch (error) {
    const said = await readFile(console_, 'utf8').catch(() => '');
    await destroy();
    throw new Error(`${suite} did not boot; the end of its console:\n${said.slice(-3000)}`, { cause: error });
  }
}

/**
 * Mounts live in a mount namespace of their own and all processes in a PID namespace whose first process dies with
 * the launcher: systemd-nspawn alone leaves its container running when it is killed.
 */
function launchArguments(id: string, tree: string, folder: string): string[] {
  mkdirSync(join(folder, 'disk'));
  const flags = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return [...flags, 'sh', '-euc', launchScript, 'sh', id, tree, join(folder, 'disk')];
}

/** Each machine gets control groups of its own: with --keep-unit two would otherwise share `system.slice`. */
const launchScript = `
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e $hierarchy/cgroup.procs ] || continue
    mkdir -p $hierarchy/$1
    echo 0 > $hierarchy/$1/cgroup.procs
  done
  mount -t tmpfs -o mode=0755 tmpfs "$3"
  mkdir "$3/upper" "$3/work" "$3/root"
  mount -t overlay -o "lowerdir=$2,upperdir=$3/upper,workdir=$3/work" overlay "$3/root"
  systemd-nspawn --directory="$3/root" --machine="$1" --hostname=laptop --boot --register=no --keep-unit \\
    --private-network --console=read-only --resolv-conf=off --timezone=off --link-journal=no
  exit $?`;

/** The container's PID 1: launcher, shell, systemd-nspawn, init. */
async function initOf(launcher: number, gone: () => boolean): Promise<number> {
  let pid = 0;
  const found = (): boolean => {
    if (gone()) throw new Error('systemd-nspawn ended');
    pid = [1, 2, 3].reduce((parent) => onlyChildOf(parent), launcher);
    return pid !== 0 && readQuietly(`/proc/${pid}/comm`).trim() === 'systemd';
  };
  await until(found, 'systemd runs in the container', PATIENCE_MS);
  return pid;
}

function onlyChildOf(pid: number): number {
  return pid === 0 ? 0 : Number.parseInt(readQuietly(`/proc/${pid}/task/${pid}/children`), 10) || 0;
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

async function bootEnded(machine: Machine, gone: () => boolean): Promise<void> {
  let state = '';
  const ended = async (): Promise<boolean> => {
    if (gone()) throw new Error('systemd-nspawn ended');
    state = (await machine.run('systemctl is-system-running')).stdout.trim();
    return state === 'running' || state === 'degraded';
  };
  await until(ended, 'all units are up', 2 * PATIENCE_MS);
  if (state === 'degraded')
    throw new Error(`units failed: ${await machine.ok('systemctl --failed --plain --no-legend')}`);
}

function machineAt(suite: Suite, pid: number, destroy: () => Promise<void>, gone: () => boolean): Machine {
  const root = `/proc/${pid}/root`;
  const runInside: Machine['run'] = (command, { timeoutMs = PATIENCE_MS } = {}) => {
    const enter = [
      '-t',
      String(pid),
      '-a',
      '--',
      ...environment,
      'timeout',
      '-k',
      '2',
      String(timeoutMs / 1000),
    ];
    return run('nsenter', [...enter, 'sh', '-c', command], timeoutMs + 5000);
  };
  const ok: Machine['ok'] = async (command, options) => {
    const { code, stdout, stderr } = await runInside(command, options);
    if (code !== 0)
      throw new Error(`inside, \`${command}\` ended with ${code}: ${stderr}${stdout}`.slice(0, 6000));
    return stdout.replace(/\n$/, '');
  };
  return {
    suite,
    pid,
    run: runInside,
    ok,
    async until(condition, what, ms = PATIENCE_MS) {
      // The loop runs inside, where a look costs a fork and not a whole entry into the namespaces.
      const loop = `until { ${condition}; } >/dev/null 2>&1; do sleep 0.02; done`;
      const { code } = await runInside(loop, { timeoutMs: ms });
      if (code !== 0) throw new Error(`waited ${ms} ms in vain until ${what}: ${condition}`);
    },
    async copyIn(hostPath, path) {
      await ok(`mkdir -p '${dirname(path)}'`);
      await copyFile(hostPath, root + path);
    },
    async writeFile(path, text) {
      await ok(`mkdir -p '${dirname(path)}'`);
      await writeFile(root + path, text);
    },
    readFile: async (path) => (await ok(`cat '${path}'; echo .`)).slice(0, -1),
    hostPath: (path) => root + path,
    journal: (unit) => ok(`journalctl --boot --no-pager --output=cat --unit='${unit}'`),
    async powerOff() {
      await runInside('systemctl poweroff');
      await until(gone, 'the machine is off', PATIENCE_MS);
      await destroy();
    },
    destroy,
  };
}

const environment = [
  'env',
  '-i',
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LC_ALL=C.UTF-8',
];

/** Whether none is left; the kernel keeps a group until its last killed process has really gone. */
function removeControlGroups(id: string): boolean {
  const folders = hierarchies.map((hierarchy) => join(hierarchy, id)).filter((folder) => existsSync(folder));
  for (const folder of folders) removeEmptyFolders(folder);
  return folders.every((folder) => !existsSync(folder));
}

const hierarchies = ['/sys/fs/cgroup', '/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'];

/** In a control group only folders can be removed, from the inside out. */
function removeEmptyFolders(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch {
    // Still busy, or gone meanwhile; the caller looks again.
  }
}

/** Folders and control groups of a run that was killed; what carries the id of a live process stays. */
export async function sweepRemains(): Promise<void> {
  for (const parent of [tmpdir(), ...hierarchies]) {
    for (const name of existsSync(parent) ? readdirSync(parent) : []) {
      const owner = /^dk-([0-9]+)-/.exec(name)?.[1];
      if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
      if (parent === tmpdir()) await rm(join(parent, name), { recursive: true, force: true });
      else removeEmptyFolders(join(parent, name));
    }
  }
}

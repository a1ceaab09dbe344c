import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { until } from './until.ts';

/** A network of its own for one test: no link but `lo`, which is down. */
export interface NetworkNamespace {
  /** Run ip(8) in it. */
  ip(words: string): void;
  /** Do something in it that ends before it returns: sockets opened meanwhile stay in it. */
  inside<T>(work: () => T): T;
  close(): void;
}

/** Why there can be none here; undefined when there can. */
export const noNamespaces: string | undefined = reasonAgainst();

/** A fresh one, held by a process that sleeps in it. */
export async function networkNamespace(): Promise<NetworkNamespace> {
  const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
  const pid = holder.pid ?? 0;
  await until(() => commandOf(pid) === 'sleep', 'the namespace stands');
  const setns = setNamespace();
  return {
    ip: (words) => enter(holder, words),
    inside(work) {
      const own = openSync('/proc/thread-self/ns/net', 'r');
      const other = openSync(`/proc/${pid}/ns/net`, 'r');
      try {
        if (setns(other, CLONE_NEWNET) !== 0) throw new Error('the namespace cannot be entered');
        return work();
      } finally {
        setns(own, CLONE_NEWNET);
        closeSync(own);
        closeSync(other);
      }
    },
    close: () => void holder.kill('SIGKILL'),
  };
}

const CLONE_NEWNET = 0x40000000;

function setNamespace(): (fd: number, type: number) => number {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  return koffi.load(null).func('int setns(int fd, int type)');
}

function enter(holder: ChildProcess, words: string): void {
  execFileSync('nsenter', ['--net', '--target', String(holder.pid), 'ip', ...words.split(' ')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 30_000,
  });
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
}

function reasonAgainst(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  try {
    readlinkSync('/proc/thread-self/ns/net');
    const words = ['--net', 'ip', 'link', 'add', 'dk-a', 'type', 'veth', 'peer', 'name', 'dk-b'];
    execFileSync('unshare', words, { stdio: 'ignore', timeout: 30_000 });
    return undefined;
  } catch {
    return 'network namespaces do not work on this machine';
  }
}

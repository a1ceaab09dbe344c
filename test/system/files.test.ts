import { type ChildProcess, spawn } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFiles, temporaryNameOf } from '../../src/system/files.ts';
import { selinuxLabels } from '../../src/system/labels.ts';
import { silentLog } from '../../src/system/log.ts';
import { parseMountPoints } from '../../src/system/mounts.ts';
import { runningWriters } from '../../src/system/processes.ts';
import { filesContract } from '../contracts/files.ts';
import { temporaryFolder } from '../support/folder.ts';
import { mortalFiles } from '../support/mortal-files.ts';
import { recordingLog } from '../support/recording-log.ts';
import { refusingFiles } from '../support/refusing-files.ts';

const files = openFiles(undefined);

filesContract('the real one', files);
filesContract('the one that dies', mortalFiles(files, Number.POSITIVE_INFINITY, 'before'));
filesContract('the one that refuses', refusingFiles(files, '/nowhere', 'EROFS'));

/** Reads `path` as fast as it can in another process and prints how often, or the first text that is not wanted: any but an empty one when none are named. */
const READER = `
const { readFileSync } = require('node:fs');
const [path, ...wanted] = process.argv.slice(1);
let reads = 0;
process.on('SIGTERM', () => { console.log('fine ' + reads); process.exit(0); });
process.stdout.write('reading\\n');
(function read() {
  for (let i = 0; i < 100; i++, reads++) {
    let text;
    try { text = readFileSync(path, 'utf8'); } catch (error) { text = String(error); }
    if (wanted.length > 0 ? !wanted.includes(text) : text === '' || text.startsWith('Error')) { console.log('torn: ' + JSON.stringify(text)); process.exit(1); }
  }
  setImmediate(read);
})();`;

/** The reader's last word, after `write` has run while it reads. */
async function race(path: string, wanted: readonly string[], write: () => Promise<void>): Promise<string> {
  const reader = spawn(process.execPath, ['-e', READER, path, ...wanted], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const words: string[] = [];
  try {
    await new Promise<void>((resolve) => {
      reader.stdout.on('data', (data) => {
        words.push(String(data));
        resolve();
      });
    });
    await write();
  } finally {
    reader.kill('SIGTERM');
    await ended(reader);
  }
  return words.join('').replace(/^reading\n/, '');
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null) resolve();
    else child.once('close', () => resolve());
  });

describe('readers that race the writer', () => {
  const long = `# long ${'x'.repeat(3000)}`;
  const short = 'nameserver 192.0.2.1';

  it('never see a torn or missing file when it is replaced', async () => {
    const path = join(temporaryFolder(), 'resolv.conf');
    writeFileSync(path, long);
    const word = await race(path, [long, short], async () => {
      for (let i = 0; i < 1000; i++) await files.replace(path, Buffer.from(i % 2 === 0 ? short : long));
    });
    expect(word).toMatch(/^fine [1-9]/);
  });

  it('never find an empty or missing file when it is written in place', async () => {
    const path = join(temporaryFolder(), 'resolv.conf');
    writeFileSync(path, long);
    const word = await race(path, [], async () => {
      for (let i = 0; i < 1000; i++) await files.overwrite(path, Buffer.from(i % 2 === 0 ? short : long));
    });
    expect(word).toMatch(/^fine [1-9]/);
  });
});

describe('names and mounts', () => {
  it('prepares a file under a hidden fixed name beside it', () => {
    expect(temporaryNameOf('/etc/resolv.conf')).toBe('/etc/.resolv.conf.dnskeeper');
  });

  it('reads escaped mount points', () => {
    const points = parseMountPoints(
      '36 35 98:0 / / rw - ext4 /dev/root rw\n37 36 0:5 /a /odd\\040name\\134x rw shared:1 - tmpfs tmpfs rw\n\nbroken\n',
    );
    expect([...points]).toEqual(['/', '/odd name\\x']);
  });

  it('knows a mount point, also through a folder that is a link', async () => {
    const folder = temporaryFolder();
    symlinkSync('/', join(folder, 'link'));
    expect(await files.isMountPoint('/proc')).toBe(true);
    expect(await files.isMountPoint(join(folder, 'link/proc'))).toBe(true);
    expect(await files.isMountPoint(join(folder, 'link'))).toBe(false);
    expect(await files.isMountPoint(join(temporaryFolder(), 'missing/file'))).toBe(false);
  });
});

describe('labels under SELinux', () => {
  function machine(enforce: string): string {
    const root = temporaryFolder('sys/fs/selinux');
    writeFileSync(join(root, 'sys/fs/selinux/enforce'), enforce);
    return root;
  }

  it('are restored after every file that is made or linked, for as long as SELinux enforces', async () => {
    const root = machine('1');
    const asked: string[] = [];
    const labels = selinuxLabels(root, silentLog, async (program, args, deadline) => {
      asked.push(`${program} ${args.join(' ')} ${deadline}`);
    });
    const labelled = openFiles(undefined, labels.relabel);
    await labelled.replace(join(root, 'file'), Buffer.from('x'));
    await labelled.replaceWithLink(join(root, 'link'), 'file');
    writeFileSync(join(root, 'sys/fs/selinux/enforce'), '0');
    await labelled.replace(join(root, 'file'), Buffer.from('y'));
    expect(asked).toEqual([`restorecon ${root}/file 5000`, `restorecon ${root}/link 5000`]);
  });

  it('that cannot be restored are reported, and the report goes when it works again', async () => {
    const root = machine('1');
    const log = recordingLog();
    let broken = true;
    const labels = selinuxLabels(root, log, async () => {
      if (broken) throw new Error('no such program');
    });
    await labels.relabel('/x');
    expect(labels.problem).toMatch(/label of \/x.*no such program.*run restorecon/);
    expect(log.lines.map((line) => line.level)).toEqual(['warn']);
    broken = false;
    await labels.relabel('/x');
    expect(labels.problem).toBeUndefined();
  });

  it('a real program that fails is a report too', async () => {
    const root = machine('1');
    const labels = selinuxLabels(root, silentLog);
    await labels.relabel(join(root, 'missing'));
    expect(labels.problem).toMatch(/restorecon/);
  });
});

describe('running programs that write resolv.conf', () => {
  it('are found by their names', async () => {
    const proc = temporaryFolder('1', '7', '8', '20', '30', '40', 'self');
    for (const [pid, name] of Object.entries({
      1: 'systemd',
      // Anybody may name a process so, and every object of the language knows these words.
      7: 'constructor',
      8: '__proto__',
      20: 'systemd-resolve',
      30: 'dhclient',
      self: 'pppd',
    }))
      writeFileSync(join(proc, pid, 'comm'), `${name}\n`);
    expect(await runningWriters(proc)).toEqual(['dhclient', 'systemd-resolved']);
  });

  it('are nobody where there is no proc', async () => {
    expect(await runningWriters('/nowhere/at/all')).toEqual([]);
  });
});

/** Before the tests: are the programs there that they need from the system, and if not, what installs them? */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const NEEDED = [
  {
    program: 'dbus-daemon',
    install: 'apt-get install dbus',
    why: 'the bus tests run on a private message bus',
  },
  { program: 'bash', install: 'apt-get install bash', why: 'the completions are parsed by it' },
];

const missing = NEEDED.filter(({ program }) => !isOnPath(program));
for (const { program, install, why } of missing) {
  console.error(`${program} is missing (${why}). Install it: ${install}`);
}
process.exitCode = missing.length > 0 ? 1 : 0;

function isOnPath(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Run in a user namespace of its own: watch a file while the kernel grants no watch, then while it does again. */
import { writeFileSync } from 'node:fs';
import { silentLog } from '../../../src/system/log.ts';
import { watchFile } from '../../../src/system/watch.ts';
import { until } from '../until.ts';

const allow = (count: number): void => writeFileSync('/proc/sys/user/max_inotify_instances', String(count));
const [path = ''] = process.argv.slice(2);
let events = 0;
allow(0);
const watch = watchFile(path, () => events++, silentLog);
await until(() => watch.problem !== undefined, 'the refusal is told');
process.stdout.write(`${watch.problem}\n`);
allow(64);
await until(() => watch.problem === undefined, 'the watch stands after all');
const before = events;
writeFileSync(path, 'changed');
await until(() => events > before, 'a change is noticed');
process.stdout.write('noticed\n');
await watch.close();

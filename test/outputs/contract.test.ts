import { lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { resolvConfFile } from '../../src/outputs/resolv-conf-file.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { outputContract } from '../contracts/output.ts';
import { renderCause } from '../support/decision.ts';
import { etc, realFiles } from '../support/etc.ts';
import { temporaryFolder } from '../support/folder.ts';

function fingerprint(...paths: readonly string[]): string {
  return paths
    .map((path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
    .map((facts) => (facts === undefined ? 'missing' : `${facts.ino} ${facts.mtimeNs} ${facts.ctimeNs}`))
    .join('; ');
}

function resolves(path: string): boolean {
  return readFileSync(path, 'utf8').includes('nameserver 192.0.2.1\n');
}

outputContract('resolv-conf-file', () => {
  const paths = systemPaths(temporaryFolder());
  return {
    output: resolvConfFile(paths, realFiles, renderCause),
    state: () => fingerprint(paths.resolvConf, paths.upstreamConf),
    usable: () => resolves(paths.resolvConf) && resolves(paths.upstreamConf),
    breakIt() {
      rmSync(paths.resolvConf);
      mkdirSync(paths.resolvConf);
    },
  };
});

outputContract('etc-resolv-conf', async () => {
  const machine = etc('nameserver 198.51.100.1\n');
  const keeper = machine.keeper();
  // Nothing is known of systemd-resolved in the abort test's sense: the verdict comes before, the file after.
  rmSync(machine.paths.resolvConf);
  await keeper.resolved('absent');
  await realFiles.replace(machine.paths.resolvConf, Buffer.from('nameserver 192.0.2.1\n'));
  return {
    output: keeper,
    state: () => fingerprint(machine.paths.etcResolvConf),
    usable: () => resolves(machine.paths.etcResolvConf),
    breakIt() {
      rmSync(machine.paths.etcResolvConf);
      mkdirSync(machine.paths.etcResolvConf);
    },
  };
});

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareText } from '../core/text.ts';
import { type BackEnd, backEnd } from '../outputs/back-end.ts';
import { dnsmasq } from '../outputs/back-end-dnsmasq.ts';
import { unbound } from '../outputs/back-end-unbound.ts';
import type { LiveResolver } from '../resolver/open.ts';
import type { ConfigFiles } from '../sources/config-file.ts';
import type { Bus } from '../system/bus.ts';
import { startChild } from '../system/child.ts';
import { systemClock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Paths } from '../system/paths.ts';

/** What another resolver is started with. */
export interface BackEndGround {
  readonly paths: Paths;
  readonly files: Files;
  readonly bus: Bus | undefined;
  readonly log: Log;
  readonly configuration: ConfigFiles;
  readonly live: LiveResolver;
}

/** Have the plan carried out by dnsmasq or unbound where the configuration says so; only on a live system. */
export function openBackEnd({
  paths,
  files,
  bus,
  log,
  configuration,
  live,
}: BackEndGround): BackEnd | undefined {
  if (bus === undefined || whyNoBackEnd(paths) !== undefined) return undefined;
  const own = log.child('back-end');
  const programs = {
    dnsmasq: dnsmasq({
      bus,
      startChild,
      settings: () => settingsIn(paths.dnsmasqFolder),
      log: own,
    }),
    unbound: unbound({
      startChild,
      files,
      folder: join(paths.runtime, 'unbound'),
      settings: () => settingsIn(paths.unboundFolder),
      log: own,
    }),
  };
  return backEnd({
    kind: () => configuration.current.config.backEnd,
    programs,
    resolver: live.resolver,
    clock: systemClock,
    log: own,
  });
}

/** Where no other resolver is started whatever the configuration says; undefined on a live system. */
export function whyNoBackEnd({ mode, root }: Paths): string | undefined {
  if (mode === 'user') return 'in user mode';
  return root === '' ? undefined : 'below a root folder';
}

/** Files that an administrator put there, by name; what has an odd name is somebody's left-over or no file of settings. */
async function settingsIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => /^[A-Za-z0-9_][A-Za-z0-9_.-]*\.conf$/.test(name))
    .sort(compareText)
    .map((name) => join(folder, name));
}

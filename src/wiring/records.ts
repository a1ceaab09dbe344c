import { type Records, recordsSource } from '../sources/records.ts';
import { kernelLinks } from '../system/kernel-links.ts';
import type { Ground } from './ground.ts';

/** What programs told resolvconf(8): the machine's records, which a daemon in user mode only reads. */
export function openRecords({
  paths,
  bus,
  configuration,
  log,
}: Pick<Ground, 'paths' | 'bus' | 'configuration' | 'log'>): Records {
  const links = kernelLinks(paths.root);
  return recordsSource({
    root: paths.root,
    links: () => links.all(),
    networkManagerTells: () => bus !== undefined && configuration.current.config.networkmanager,
    log: log.child('records'),
  });
}

import { type Records, recordsSource } from '../sources/records.ts';
import type { Ground } from './ground.ts';

/** What programs told resolvconf(8): the machine's records, which a daemon in user mode only reads. */
export function openRecords({
  paths,
  bus,
  configuration,
  network,
  log,
}: Pick<Ground, 'paths' | 'bus' | 'configuration' | 'network' | 'log'>): Records {
  return recordsSource({
    root: paths.root,
    links: () => network.links(),
    networkManagerTells: () => bus !== undefined && configuration.current.config.networkmanager,
    log: log.child('records'),
  });
}

import { DnskeeperError } from '../core/errors.ts';
import { IMPORTED } from '../core/foreign.ts';
import { parseInput } from '../core/record.ts';
import type { Imports } from '../outputs/foreign-text.ts';
import { type Records, recordsSource } from '../sources/records.ts';
import { recordFolder } from '../system/record-folder.ts';
import { recordPaths } from '../system/record-paths.ts';
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

/** What other writers of /etc/resolv.conf brought lies among the records, under keys that no interface has. */
export function importsAsRecords(root: string): Imports {
  const folder = recordFolder(recordPaths(root).folder);
  return {
    keep(key, text) {
      const input = parseInput(Buffer.from(text, 'latin1'));
      if (!input.ok) throw new DnskeeperError('IO', `wanted the text of a resolv.conf, got ${input.reason}`);
      folder.store({ key, text: input.value, private: false, nosearch: false });
    },
    end() {
      for (const { key } of folder.read().set.records) if (key.startsWith(IMPORTED)) folder.remove(key);
    },
  };
}

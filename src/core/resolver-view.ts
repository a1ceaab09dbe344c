import type { CacheReport } from './cache-report.ts';
import type { Domain } from './domain.ts';
import type { NamesWatch } from './names-report.ts';
import type { Outlook } from './outlook.ts';
import type { StatisticsReport } from './statistics.ts';

/** What the local resolver tells about itself. Nothing here asks a server or changes anything. */
export interface ResolverView {
  statistics(): StatisticsReport;
  /** Remembered answers for all names, or one name and what is below it; at most so many. */
  cache(name: Domain | undefined, most: number): CacheReport;
  /** What a question for a name would meet now. */
  outlook(name: Domain): Promise<Outlook>;
  /** Keep names from now on; without anybody who watches none are kept. */
  watchNames(): NamesWatch;
}

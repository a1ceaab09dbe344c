import { parseAddress } from '../core/address.ts';
import { type CommandContext, domainOf, isJson, isNotRunning, json } from './command-context.ts';
import { EXIT } from './command-table.ts';

/** `dnsctl query`: asks as a program would. */
export async function showQuery(context: CommandContext): Promise<number> {
  const text = context.arguments['NAME'] ?? '';
  const type = context.arguments['TYPE'] ?? (parseAddress(text).ok ? 'PTR' : 'A');
  const report = await context.client.query(domainOf(text), type);
  if (isJson(context)) context.print(json(report, 2));
  else {
    const { formatQuery } = await import('./format-query.ts');
    context.print(formatQuery(report, context.terminal));
  }
  return report.rcode === 'NOERROR' ? EXIT.done : EXIT.problem;
}

/** `dnsctl cache`: what is remembered. */
export async function showCache(context: CommandContext): Promise<number> {
  const name = domainOf(context.options['name'] ?? '.');
  const cache = await context.client.cache(name);
  if (isJson(context)) context.print(json(cache, 2));
  else {
    const { formatCache } = await import('./format-cache.ts');
    const most = Number(context.options['lines'] ?? 50);
    context.print(formatCache(cache, name, most, context.terminal));
  }
  return EXIT.done;
}

/** `dnsctl statistics`: totals since the start. */
export async function showStatistics(context: CommandContext): Promise<number> {
  const statistics = await context.client.statistics();
  if (isJson(context)) context.print(json(statistics, 2));
  else {
    const { formatStatistics } = await import('./format-statistics.ts');
    context.print(formatStatistics(statistics, context.terminal));
  }
  return EXIT.done;
}

/** `dnsctl metrics`: the same for Prometheus. Without a daemon the metrics say just that. */
export async function showMetrics(context: CommandContext): Promise<number> {
  const { ABSENT_METRICS, formatMetrics } = await import('./format-metrics.ts');
  const output = context.options['output'];
  const put = async (text: string): Promise<void> =>
    output === undefined ? context.print(text) : context.replaceFile(output, text);
  try {
    const [status, statistics] = await Promise.all([context.client.status(), context.client.statistics()]);
    await put(formatMetrics(status, statistics));
    return EXIT.done;
  } catch (error) {
    if (!isNotRunning(error)) throw error;
    await put(ABSENT_METRICS);
    return EXIT.notRunning;
  }
}

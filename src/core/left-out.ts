import type { Entry } from './entries.ts';
import { describeOrigin } from './order.ts';
import type { LeftOut } from './plan.ts';
import { formatOption } from './resolv-option.ts';
import { formatServer, type Server } from './server.ts';
import { compareText } from './text.ts';

/** All that an entry says about the file is left out. */
export function leaveOut(entry: Entry, reason: string, into: LeftOut[]): void {
  for (const server of entry.servers) into.push(serverLeftOut(server, entry, reason));
  for (const domain of entry.searches)
    into.push({ what: 'search', text: domain, origin: entry.origin, reason });
  for (const option of entry.options)
    into.push({ what: 'option', text: formatOption(option), origin: entry.origin, reason });
  for (const text of entry.sortlist ?? [])
    into.push({ what: 'sortlist', text, origin: entry.origin, reason });
}

/** One of its servers is. */
export const serverLeftOut = (server: Server, entry: Entry, reason: string): LeftOut => ({
  what: 'server',
  text: formatServer(server),
  origin: entry.origin,
  reason,
});

/** By what it is, then by who was better placed; the same for the same set. */
export function sortLeftOut(leftOut: readonly LeftOut[]): readonly LeftOut[] {
  const described = leftOut.map((one) => ({ one, from: describeOrigin(one.origin) }));
  described.sort(
    (a, b) =>
      KIND_ORDER[a.one.what] - KIND_ORDER[b.one.what] ||
      a.one.origin.priority - b.one.origin.priority ||
      compareText(a.from, b.from) ||
      compareText(a.one.text, b.one.text) ||
      compareText(a.one.reason, b.one.reason),
  );
  return described.map(({ one }) => one);
}

const KIND_ORDER: Readonly<Record<LeftOut['what'], number>> = {
  server: 0,
  search: 1,
  option: 2,
  sortlist: 3,
  route: 4,
};

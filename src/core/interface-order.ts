import { DEFAULT_RULES, type ResolvconfRules, type RulesProblem } from './record-rules.ts';
import { printable } from './text.ts';

/**
 * The rules with Debian's /etc/resolvconf/interface-order (interface-order(5) of its package resolvconf): a pattern of bash(1)
 * with `extglob` on each line, and records come in the order of the first line that names them. What resolvconf.conf(5) says
 * about the order goes before it. The file as the package brings it stays on the machine when that goes, and is nobody's wish.
 */
export function withInterfaceOrder(
  rules: ResolvconfRules,
  text: string,
): { readonly rules: ResolvconfRules; readonly problems: readonly RulesProblem[] } {
  const lines = text.split('\n').slice(0, MOST_LINES).flatMap(patternOf);
  const isAsShipped = lines.map(({ pattern }) => pattern).join('\n') === SHIPPED_ORDER;
  const isOverruled = rules.order.join(' ') !== DEFAULT_RULES.order.join(' ');
  if (lines.length === 0 || isAsShipped || isOverruled) return { rules, problems: [] };
  const long = lines.filter(({ pattern }) => pattern.length > MOST_PATTERN);
  const all = lines.findIndex(({ pattern }) => pattern === '*');
  const counting = (all < 0 ? lines : lines.slice(0, all)).filter((line) => !long.includes(line));
  const problems = long.map(({ line, pattern }) => problem(line, 'pattern', printable(pattern, 40)));
  return {
    rules: { ...rules, interfaceOrder: counting.map(({ pattern }) => pattern) },
    problems: all < 0 ? [...problems, problem(lines.at(-1)?.line ?? 0, 'rest', '')] : problems,
  };
}

/** Where Debian's resolvconf has it. */
const FILE = '/etc/resolvconf/interface-order';

const problem = (line: number, kind: RulesProblem['kind'], got: string): RulesProblem => ({
  file: FILE,
  line,
  kind,
  got,
});

const MOST_LINES = 512;
const MOST_PATTERN = 256;

/** As Debian's list-records reads a line: its first word, and none that could lead out of the folder of records. */
function patternOf(
  text: string,
  index: number,
): readonly { readonly line: number; readonly pattern: string }[] {
  const pattern = (text.trim().split(/\s/, 1)[0] ?? '').replace(/#.*/, '');
  return pattern === '' || pattern.includes('/') || /^[~.]/.test(pattern)
    ? []
    : [{ line: index + 1, pattern }];
}

/** The patterns of /etc/resolvconf/interface-order as Debian's resolvconf 1.91 ships it. */
export const SHIPPED_ORDER = `lo.inet6
lo.inet
lo.@(dnsmasq|pdnsd)
lo.!(pdns|pdns-recursor)
lo
tun*
tap*
hso*
vpn*
em+([0-9])?(_+([0-9]))*
p+([0-9])p+([0-9])?(_+([0-9]))*
en+([bcosxpP])*([^.]).inet6
en+([bcosxpP])*([^.]).ip6.@(dhclient|dhcpcd|pump|udhcpc)
en+([bcosxpP])*([^.]).inet
en+([bcosxpP])*([^.]).@(dhclient|dhcpcd|pump|udhcpc)
en+([bcosxpP])*
@(br|eth)*([^.]).inet6
@(br|eth)*([^.]).ip6.@(dhclient|dhcpcd|pump|udhcpc)
@(br|eth)*([^.]).inet
@(br|eth)*([^.]).@(dhclient|dhcpcd|pump|udhcpc)
@(br|eth)*
wl+([bcosxpP])*([^.]).inet6
wl+([bcosxpP])*([^.]).ip6.@(dhclient|dhcpcd|pump|udhcpc)
wl+([bcosxpP])*([^.]).inet
wl+([bcosxpP])*([^.]).@(dhclient|dhcpcd|pump|udhcpc)
wl+([bcosxpP])*
@(ath|wifi|wlan)*([^.]).inet6
@(ath|wifi|wlan)*([^.]).ip6.@(dhclient|dhcpcd|pump|udhcpc)
@(ath|wifi|wlan)*([^.]).inet
@(ath|wifi|wlan)*([^.]).@(dhclient|dhcpcd|pump|udhcpc)
@(ath|wifi|wlan)*
ppp*
*`;

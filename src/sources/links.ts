import type { KernelNetwork } from '../system/netlink.ts';
import type { PushedLinks } from './pushed-links.ts';

/**
 * What was pushed for a link goes when the link goes, also when another link comes by its number or name, and stays when
 * the link is renamed; until the returned function is called.
 */
export function dropWithLinks(
  network: Pick<KernelNetwork, 'onLink'>,
  pushed: Pick<PushedLinks, 'drop' | 'rename'>,
): () => void {
  return network.onLink(({ before, after }) => {
    if (before === undefined) return;
    if (after === undefined) pushed.drop(before.ifindex);
    else if (after.name !== before.name) pushed.rename(after.ifindex, after.name);
  });
}

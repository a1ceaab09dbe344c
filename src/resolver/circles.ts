import { formatServer } from '../core/server.ts';
import { EDE } from './ede.ts';
import { responseTo } from './message.ts';
import type { Asked } from './own-questions.ts';
import type { Query, Stage } from './query.ts';
import { RCODE } from './wire.ts';

/**
 * Refuses questions of our own that a server sent back to us, for a server that forwards to this machine would have us
 * ask it again and again. `cameBack` tells whom we had asked.
 */
export const circles =
  (cameBack: (query: Query) => Asked | undefined): Stage =>
  (next) =>
  (query, signal) => {
    const asked = cameBack(query);
    if (asked === undefined) return next(query, signal);
    const text = `a question of dnskeeper's own, sent back by ${formatServer(asked.server)}`;
    return Promise.resolve({
      wire: responseTo(query, { rcode: RCODE.REFUSED, ede: { code: EDE.other, text } }),
      origin: { kind: 'refused' },
    });
  };

import type { Answerer, Stage } from './query.ts';

/** The stages of the resolver by name. */
export interface Stages {
  readonly local: Stage;
  readonly hosts: Stage;
  readonly circles: Stage;
  readonly cache: Stage;
  readonly coalesce: Stage;
  readonly forward: Answerer;
}

/**
 * The order of the resolver. Each stage feels those below it and knows nothing of those above:
 *
 *   local     refusals, and this machine's own names: never asked over any network
 *   hosts     /etc/hosts owns its names whole
 *   circles   our own questions that come back to us end here
 *   cache     what a link's servers said, as long as it holds, apart for each route
 *   coalesce  one question on its way for everybody who asks the same
 *   forward   the servers of the links that the name's route leads to
 */
export function stack({ local, hosts, circles, cache, coalesce, forward }: Stages): Answerer {
  return [local, hosts, circles, cache, coalesce].reduceRight<Answerer>(
    (next, stage) => stage(next),
    forward,
  );
}

import type { Plan } from '../../src/core/plan.ts';
import type { Decision } from '../../src/outputs/output.ts';

/** A plan that says nothing. */
export const EMPTY_PLAN: Plan = {
  nameservers: [],
  upstream: [],
  search: [],
  options: [],
  leftOut: [],
  leftOutMore: 0,
  links: [],
  routes: [],
  inexpressible: [],
  profiles: [],
};

/** A decision for tests that care about `cause` and `time` only; `render` of a test makes text of the cause. */
export function decisionOf(cause: string, time = 1_700_000_000_000): Decision {
  return { plan: EMPTY_PLAN, time, cause };
}

/** Text like that of the real files: our header, the time, and the cause as content. */
export function renderCause(decision: Decision): { resolvConf: string; upstreamConf: string } {
  const header = `# Written by dnskeeper; changes made here are replaced.\n# Changed: ${decision.time}\n`;
  return {
    resolvConf: `${header}nameserver 192.0.2.1\n# ${decision.cause}\n`,
    upstreamConf: `${header}nameserver 192.0.2.1\nnameserver 192.0.2.2\n# ${decision.cause}\n`,
  };
}

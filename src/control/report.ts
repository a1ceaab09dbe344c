import type { Choice, Plan, PlanLink } from '../core/plan.ts';
import { formatOption, type ResolvOption } from '../core/resolv-option.ts';
import { formatServer, type Server } from '../core/server.ts';
import type { Status } from '../core/status.ts';

/** A link of the plan with its servers as text. */
export interface LinkReport extends Omit<PlanLink, 'servers'> {
  readonly servers: readonly Choice<string>[];
}

/** The plan with servers and options as people write them. */
export interface PlanReport extends Omit<Plan, 'nameservers' | 'upstream' | 'options' | 'links'> {
  readonly nameservers: readonly Choice<string>[];
  readonly upstream: readonly Choice<string>[];
  readonly options: readonly Choice<string>[];
  readonly links: readonly LinkReport[];
}

/**
 * The status as it leaves the daemon: over the control socket, and as `dnsctl status --json` (docs/status.md).
 * It differs from Status in that every server is one text in NetworkManager's syntax, and every option one word,
 * because scripts compare texts, not arrays of bytes.
 */
export interface StatusReport extends Omit<Status, 'plan'> {
  /** Grows when a field changes its meaning or goes; new fields alone do not change it. */
  readonly schema: 1;
  readonly plan: PlanReport;
}

/** The report of a status. */
export function reportOf(status: Status): StatusReport {
  return { schema: 1, ...status, plan: planReport(status.plan) };
}

function planReport(plan: Plan): PlanReport {
  return {
    ...plan,
    nameservers: plan.nameservers.map(serverAsText),
    upstream: plan.upstream.map(serverAsText),
    options: plan.options.map(optionAsText),
    links: plan.links.map((link) => ({ ...link, servers: link.servers.map(serverAsText) })),
  };
}

const serverAsText = (choice: Choice<Server>): Choice<string> => ({
  ...choice,
  value: formatServer(choice.value),
});

const optionAsText = (choice: Choice<ResolvOption>): Choice<string> => ({
  ...choice,
  value: formatOption(choice.value),
});

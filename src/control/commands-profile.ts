import { basename } from 'node:path';
import { parseSpan } from '../core/duration.ts';
import { DnskeeperError } from '../core/errors.ts';
import { LONGEST_CHOICE_MS, type ProfileChoice } from '../core/profile-choice.ts';
import { type CommandContext, isJson, json } from './command-context.ts';
import { EXIT } from './command-table.ts';
import { type Outcome, TRIED_NAME } from './daemon-control.ts';

/** `dnsctl profile`: which rules there are, what became of each, and a choice by hand. */
export async function profileCommand(
  context: CommandContext,
  tell: (outcome: Outcome) => Promise<number>,
): Promise<number> {
  const { ACTION: action = 'list', NAME: name } = context.arguments;
  if (action === 'auto') {
    refuse(name !== undefined, 'wanted nothing after auto');
    refuse('for' in context.options, FOR_USE);
    return tell(await context.client.useProfile(undefined, undefined));
  }
  if (action === 'use') {
    if (name === undefined)
      throw usage('wanted the name of a profile after use; dnsctl profile list shows them');
    return tell(await context.client.useProfile(name, spanOf(context, undefined)));
  }
  refuse('for' in context.options, FOR_USE);
  return showProfiles(context, name);
}

const FOR_USE = 'wanted --for with use alone';

/** `dnsctl try`: a configuration that goes again by itself unless somebody keeps it. */
export async function tryCommand(
  context: CommandContext,
  tell: (outcome: Outcome) => Promise<number>,
): Promise<number> {
  const { FILE: file } = context.arguments;
  const end = 'keep' in context.options ? 'keep' : 'back' in context.options ? 'go back' : undefined;
  if (end !== undefined) {
    refuse(file !== undefined, 'wanted no FILE with --keep or --back');
    refuse('keep' in context.options && 'back' in context.options, 'wanted one of --keep and --back');
    refuse('for' in context.options, 'wanted --for with a FILE alone');
    return tell(await context.client.endTrial(end));
  }
  if (file === undefined) throw usage('wanted a FILE to try, or --keep or --back');
  const name = basename(file);
  if (!TRIED_NAME.test(name))
    throw usage(
      `wanted a file whose name ends in .toml and has letters, digits, dots and dashes, got ${name}`,
    );
  const forMs = spanOf(context, TRY_MS) ?? TRY_MS;
  const outcome = await context.client.tryConfiguration(name, await context.readText(file), forMs);
  const code = await tell(outcome);
  if (!outcome.ok) return code;
  const answer = await context.confirm('Keep it? Press Enter to keep it, any other key to go back: ', forMs);
  if (answer === undefined) {
    context.print('dnsctl try --keep keeps it, dnsctl try --back goes back at once.\n');
    return code;
  }
  if (answer === 'too late') {
    // The daemon goes back by itself.
    context.print('The time is over: all is as before.\n');
    return code;
  }
  return tell(await context.client.endTrial(answer === 'yes' ? 'keep' : 'go back'));
}

const TRY_MS = 60_000;

async function showProfiles(context: CommandContext, name: string | undefined): Promise<number> {
  const { plan, profileByHand, configuration } = await context.client.status();
  const profiles = plan.profiles.filter((profile) => name === undefined || profile.name === name);
  if (name !== undefined && profiles.length === 0)
    throw usage(`wanted a profile of the configuration, got "${name}"; dnsctl profile list shows them`);
  const byHand: { readonly profileByHand?: ProfileChoice } =
    profileByHand === undefined ? {} : { profileByHand };
  if (isJson(context)) context.print(json({ profiles, ...byHand }, 2));
  else {
    const { formatProfiles } = await import('./format-profiles.ts');
    const servers = plan.links.flatMap(({ key, servers: of }) =>
      of.map(({ value }) => ({ link: key, server: value })),
    );
    context.print(
      formatProfiles(
        {
          profiles,
          servers,
          ...byHand,
          whole: name === undefined,
          configurationWrong: configuration.problems.length > 0,
        },
        context.now(),
        context.terminal,
      ),
    );
  }
  return EXIT.done;
}

function spanOf(context: CommandContext, otherwise: number | undefined): number | undefined {
  const text = context.options['for'];
  if (text === undefined) return otherwise;
  const ms = parseSpan(text);
  if (ms !== undefined && ms <= LONGEST_CHOICE_MS) return ms;
  throw usage(`wanted a time such as 90s, 10m, 1h or 2d, at most 7d, got ${text}`);
}

const usage = (text: string): DnskeeperError => new DnskeeperError('USAGE', text);

function refuse(wrong: boolean, text: string): void {
  if (wrong) throw usage(text);
}

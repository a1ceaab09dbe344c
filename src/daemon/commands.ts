import type { Outcome } from '../control/daemon-control.ts';
import { beyondFile } from '../core/file-mode.ts';
import { configTroubles } from '../core/health.ts';
import type { Decisions } from './decisions.ts';
import type { Overrides } from './overrides.ts';
import type { Daemon, DaemonParts } from './parts.ts';

/** What may be asked of a daemon that changes something, and questions to its resolver. */
export type Commands = Pick<
  Daemon,
  | 'reload'
  | 'reloadFor'
  | 'useProfile'
  | 'tryConfiguration'
  | 'endTrial'
  | 'takeover'
  | 'release'
  | 'giveWay'
  | 'standIn'
  | 'query'
  | 'flush'
>;

/** What the commands are carried out on. */
export type CommandsNeeds = Pick<DaemonParts, 'configuration' | 'link' | 'resolver' | 'log'> & {
  readonly overrides: Pick<Overrides, 'useProfile' | 'tryConfiguration' | 'endTrial'>;
  readonly decisions: Pick<Decisions, 'plan'>;
  /** Resolves when nothing is being applied. */
  readonly idle: () => Promise<void>;
  /** Decide anew after a change of the settings; resolves when that is in force. */
  readonly redecide: (cause: string) => Promise<void>;
  /** Tell those who follow the status. */
  readonly publish: () => void;
};

/** The commands of a daemon; each waits until what is being applied is in force. */
export function commands(needs: CommandsNeeds): Commands {
  const { link, overrides, resolver } = needs;

  async function steer(command: string, act: () => Promise<Outcome>): Promise<Outcome> {
    await needs.idle();
    const outcome = await act();
    needs.log.info({ command, ok: outcome.ok }, outcome.text);
    needs.publish();
    return outcome;
  }

  return {
    reload: () => reload(needs, 'dnsctl reload'),
    reloadFor: (cause) => reload(needs, cause),
    useProfile: (name, forMs) => steer('profile', () => overrides.useProfile(name, forMs)),
    tryConfiguration: (name, text, forMs) =>
      steer('try', () => overrides.tryConfiguration(name, text, forMs)),
    endTrial: (how) => steer(how, () => overrides.endTrial(how)),
    takeover: () => steer('takeover', () => link.takeover()),
    release: () => steer('release', () => link.release()),
    giveWay: () => steer('give-way', () => giveWay(needs)),
    standIn: () => steer('stand-in', () => standIn(needs)),
    query: (name, type, signal) => resolver.query(name, type, signal),
    flush: (name) => flush(needs, name),
  };
}

async function reload({ configuration, log, redecide }: CommandsNeeds, cause: string): Promise<Outcome> {
  const before = JSON.stringify(configuration.current);
  const loaded = await configuration.reload();
  const { problems, files } = loaded;
  const troubles = configTroubles(loaded);
  const [first] = troubles;
  const changed = JSON.stringify(loaded) !== before;
  const fields = { files: files.length, problems: problems.length, changed, cause };
  log[changed ? 'info' : 'debug'](fields, 'The configuration was read.');
  for (const text of changed ? troubles : []) log.warn({}, text);
  void redecide(cause);
  return first === undefined
    ? { ok: true, text: `Read ${files.length} configuration file(s).` }
    : { ok: false, text: `${first}${problems.length > 1 ? MORE : ''}` };
}

const MORE = ' That is not all that is wrong: dnskeeperd --check.';

async function giveWay({ resolver }: CommandsNeeds): Promise<Outcome> {
  await resolver.giveWay();
  return { ok: true, text: 'The addresses of the resolver are free for systemd-resolved.' };
}

async function standIn(needs: CommandsNeeds): Promise<Outcome> {
  const { configuration, decisions, link, resolver } = needs;
  // The resolver gets its addresses only when systemd-resolved is gone, so until then the file has to say it all.
  const [first] = beyondFile(decisions.plan, configuration.current.config);
  if (first !== undefined) {
    resolver.standReady();
    return { ok: true, text: `Nothing changes before systemd-resolved is gone: ${first}` };
  }
  await link.resolved('absent');
  await needs.idle();
  return { ok: true, text: link.status().reason };
}

async function flush(
  { resolver, log }: CommandsNeeds,
  name: Parameters<Commands['flush']>[0],
): Promise<Outcome> {
  const count = resolver.flush(name);
  const whose = name === undefined ? '' : ` for ${name} and names below it`;
  log.info({ count }, 'Remembered answers were forgotten.');
  return { ok: true, text: `Forgot ${count} remembered ${count === 1 ? 'answer' : 'answers'}${whose}.` };
}

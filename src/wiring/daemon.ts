import { messageOf } from '../core/errors.ts';
import { pushedFindings } from '../core/findings-pushed.ts';
import { formatProfileChoice, parseProfileChoice } from '../core/profile-choice.ts';
import { formatRecordedEvent } from '../core/recording.ts';
import { renderResolvConf, renderStubConf, renderUpstreamConf } from '../core/resolv-conf.ts';
import type { Finding } from '../core/status.ts';
import { TaskQueue } from '../core/task-queue.ts';
import { VERSION } from '../core/version.ts';
import { startDaemon } from '../daemon/daemon.ts';
import type { Daemon, DaemonParts } from '../daemon/parts.ts';
import type { Decision } from '../outputs/output.ts';
import { type RenderedFiles, resolvConfFile } from '../outputs/resolv-conf-file.ts';
import { hostSource } from '../sources/host.ts';
import { kernelSource } from '../sources/links.ts';
import { networkdSource } from '../sources/networkd.ts';
import { networkManagerSource } from '../sources/networkmanager.ts';
import type { Source } from '../sources/source.ts';
import type { Bus } from '../system/bus.ts';
import { systemClock } from '../system/clock.ts';
import { ifindexOf } from '../system/ifindex.ts';
import { openRecording } from '../system/recording-file.ts';
import { whyNoBackEnd } from './back-end.ts';
import type { Ground } from './ground.ts';
import { followNetwork } from './network.ts';

/**
 * How long the files of an earlier run stay, and queries wait in its sockets or those of a socket unit, while the sources
 * have not all spoken or name no server.
 */
const HOLD_FIRST_MS = 2000;

/** Start the loop of learning, deciding and applying on real sources and outputs. */
export async function startOn(ground: Ground): Promise<Daemon> {
  const {
    paths,
    options,
    files,
    link,
    resolvedFiles,
    live,
    resolver,
    sockets,
    configuration,
    clock,
    log,
    bus,
    held,
  } = ground;
  const record =
    options['record'] === undefined ? undefined : openRecording(options['record'], log, options['replay']);
  held.defer(() => record?.close());
  followNetwork(ground);
  const existed = (await files.look(paths.resolvConf)) !== undefined;
  return startDaemon(
    {
      sources: bus === undefined ? [] : liveSources(bus, ground),
      files: (written) => resolvConfFile(paths, files, render, written, resolvedFiles, ground.earlier),
      link,
      others: [ground.netns],
      resolver: {
        ...resolver,
        async giveWay() {
          await Promise.all([resolver.giveWay(), ground.standin.current?.giveWay()]);
        },
        query: (name, type, signal) => live.query(name, type, signal),
        flush: (name) => live.cache.flush(name),
        view: live.view,
      },
      configuration,
      clock,
      log: log.child('daemon'),
      about: { version: VERSION, pid: process.pid, mode: paths.mode, root: paths.root },
      findings: () => machineFindings(ground),
      profileChoice: await keptProfileChoice(ground),
      residentBytes: () => process.memoryUsage.rss(),
      onEvent: (event) => record?.append(formatRecordedEvent(event, clock.now())),
    },
    (existed || sockets.waiting > 0) && bus !== undefined ? HOLD_FIRST_MS : 0,
  );
}

/** The profile chosen by hand outlives a restart of the daemon, not of the machine. */
async function keptProfileChoice({ paths, files, log }: Ground): Promise<DaemonParts['profileChoice']> {
  const text = (await files.read(paths.profileChoice, MOST_CHOICE_BYTES).catch(() => undefined))?.toString();
  const queue = new TaskQueue();
  return {
    first: text === undefined ? undefined : parseProfileChoice(text, systemClock.now()),
    save(choice) {
      const write = (): Promise<unknown> =>
        choice === undefined
          ? files.remove(paths.profileChoice)
          : files.replace(paths.profileChoice, Buffer.from(formatProfileChoice(choice)));
      queue
        .run(write)
        .catch((error: unknown) => log.warn({}, `The chosen profile is not kept: ${messageOf(error)}`));
    },
  };
}

const MOST_CHOICE_BYTES = 1024;

function render({ plan, time, nameserver }: Decision): RenderedFiles {
  const resolvConf =
    nameserver === undefined ? renderResolvConf(plan, time) : renderStubConf(plan, time, nameserver);
  return { resolvConf, upstreamConf: renderUpstreamConf(plan, time) };
}

function liveSources(
  bus: Bus,
  { paths, hostName, network, records, configuration, log, resolve1 }: Ground,
): readonly Source[] {
  const networkmanager = networkManagerSource(bus, {
    ifindexOf,
    log: log.child('networkmanager'),
    clock: systemClock,
  });
  const networkd = networkdSource({ root: paths.root, bus, network, log: log.child('networkd') });
  return [
    hostSource(hostName),
    kernelSource(network, systemClock),
    networkd,
    records,
    ...(configuration.current.config.networkmanager ? [networkmanager] : []),
    ...(resolve1 === undefined ? [] : [resolve1.pushed]),
  ];
}

/** What is wrong with the machine itself, for the status. */
function machineFindings({
  paths,
  labelProblem,
  watches,
  libc,
  live,
  link,
  configuration,
  standin,
  hooks,
  libcHooks,
  netns,
  resolvedFiles,
  network,
  resolve1,
  records,
}: Ground): readonly Finding[] {
  const problems = new Set([
    labelProblem(),
    live.problem,
    standin.current?.problem,
    hooks?.problem,
    ...libcHooks.map((each) => each.problem),
    netns.problem,
    resolvedFiles.problem,
    network.problem,
    ...watches.map((watch) => watch.problem),
  ]);
  // While systemd-resolved runs, what its configuration says is its own to do.
  const remarks = link.status().state === 'resolved' ? [] : configuration.current.remarks;
  const findings: Finding[] = [];
  for (const text of problems) {
    if (text !== undefined) findings.push({ severity: 'warning', id: 'machine', text });
  }
  if (libc === undefined) {
    const text =
      'The native library koffi is missing: no kernel lock, no immutable check, no news of links, and dnsctl cannot change anything.';
    findings.push({ severity: 'warning', id: 'no-koffi', text, mend: 'reinstall dnskeeper' });
  }
  const { backEnd } = configuration.current.config;
  const noBackEnd = whyNoBackEnd(paths);
  if (backEnd !== 'builtin' && noBackEnd !== undefined) {
    const text = `resolver.backend = "${backEnd}" does nothing ${noBackEnd}: the built-in resolver asks.`;
    findings.push({ severity: 'note', id: 'back-end-off', text });
  }
  return [...findings, ...remarks, ...pushedFindings(resolve1?.pushed.all() ?? []), ...records.findings()];
}

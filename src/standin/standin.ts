import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import type { ResolvedPresence } from '../core/takeover.ts';
import { TaskQueue } from '../core/task-queue.ts';
import { type ObjectServer, serveObjects } from '../system/bus-objects.ts';
import type { NameState, ServiceBus } from '../system/bus-service.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import type { VarlinkInterface } from '../system/varlink-interface.ts';
import type { LinkStates } from './link-states.ts';
import { managerObject } from './manager-object.ts';
import { resolve1Tree } from './resolve1.ts';
import { MANAGER, MANAGER_PATH, RESOLVE1 } from './resolve1-tables.ts';
import { type MonitorGround, monitorInterface } from './varlink-monitor.ts';
import { resolveInterface } from './varlink-resolve.ts';
import { serviceInterface } from './varlink-service.ts';

/** dnskeeper under systemd-resolved's names: on the bus and on its two sockets. */
export interface Standin {
  /** What the bus tells about systemd-resolved, whose names they are; resolves when they are taken or free. */
  resolved(presence: ResolvedPresence): Promise<void>;
  /** systemd-resolved is about to start: resolves when its names are free. They are taken again if it does not come. */
  giveWay(): Promise<void>;
  /** What readers are shown may have changed. */
  changed(): void;
  /** Whether the names are taken. */
  readonly standing: boolean;
  /** What keeps it from standing in, one sentence. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/** What it works with. */
export interface StandinNeeds {
  /** A connection of its own: nobody is called over it by systemd-resolved's name. */
  readonly bus: ServiceBus;
  readonly ground: MonitorGround;
  /** Serve an interface on the socket of this name in systemd-resolved's folder. */
  readonly serve: (
    socket: string,
    interfaces: readonly VarlinkInterface[],
  ) => Promise<{ close(): Promise<void> }>;
  /** What is set on links, beyond our own life. */
  readonly linkStates: LinkStates;
  /** resolv.conf(5) files under systemd-resolved's names: made, or left to it. Neither rejects. */
  readonly resolvedFiles: { begin(): Promise<void>; giveWay(): Promise<void> };
  readonly machineId: () => string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** A systemd-resolved that we gave way to and that is not there by then does not come. */
const GIVE_WAY_MS = 10_000;

/** A systemd-resolved that has let go of its bus name answers on its sockets until it has ended: no fault yet. */
const ENDING_PAUSES_MS = [25, 50, 100, 200, 400];

/** Stand in as long as systemd-resolved is absent. Everything it does runs one after the other. */
export function standin(needs: StandinNeeds): Standin {
  const { bus, ground, clock, log } = needs;
  const tree = resolve1Tree(ground);
  const interfaces = [
    ['io.systemd.Resolve', [resolveInterface(ground), serviceInterface(ground)]],
    ['io.systemd.Resolve.Monitor', [monitorInterface(ground)]],
  ] as const;
  let presence: ResolvedPresence = 'unknown';
  let closed = false;
  let taken: Taken | undefined;
  let problem: string | undefined;
  let attempt = 0;
  let cancelRetry = (): void => {};
  let cancelGiveWay: (() => void) | undefined;
  const queue = new TaskQueue();

  const isWanted = (): boolean => !closed && presence === 'absent' && cancelGiveWay === undefined;

  /** Take the names or let go of them. Never rejects: what went wrong is told by `problem`. */
  async function settle(): Promise<void> {
    cancelRetry();
    if (isWanted() === (taken !== undefined)) return;
    if (taken !== undefined) {
      await letGo();
      problem = undefined;
      return;
    }
    try {
      await take();
      attempt = 0;
    } catch (error) {
      await letGo();
      attempt++;
      const ending = attempt <= ENDING_PAUSES_MS.length;
      if (!ending) tell(`Clients of systemd-resolved find nobody: ${messageOf(error)}`);
      const pause = ENDING_PAUSES_MS[attempt - 1] ?? retryPause(attempt - ENDING_PAUSES_MS.length);
      cancelRetry = clock.after(pause, () => void queue.run(settle));
    }
  }

  /** The name comes last: who sees it on the bus finds everything else there. */
  async function take(): Promise<void> {
    const sockets: { close(): Promise<void> }[] = [];
    const objects = serveObjects(bus, tree, { machineId: needs.machineId });
    const own: Taken = { objects, sockets, told: new Map(), free: async () => {} };
    taken = own;
    for (const [name, served] of interfaces) sockets.push(await needs.serve(name, served));
    await needs.linkStates.begin();
    await needs.resolvedFiles.begin();
    own.told = properties(ground);
    own.free = bus.own(RESOLVE1, {}, onName);
  }

  async function letGo(): Promise<void> {
    const old = taken;
    taken = undefined;
    if (old === undefined) return;
    await old.free();
    // Whoever stands here next reads them when it starts.
    await needs.linkStates.end();
    // Where it is we that end, who reads them goes on reading.
    if (!closed) await needs.resolvedFiles.giveWay();
    old.objects.close();
    await Promise.all(old.sockets.map((socket) => socket.close()));
  }

  function onName(name: NameState): void {
    log.info({ state: name.state }, `the bus name ${RESOLVE1}`);
    if (name.state === 'owned') tell(undefined);
    else if (name.state === 'refused')
      tell(`The message bus does not let dnskeeper answer as systemd-resolved: ${name.reason}`);
    else if (name.state === 'taken') tell(`Somebody else has the bus name ${RESOLVE1}.`);
  }

  function tell(what: string | undefined): void {
    if (what !== undefined && what !== problem) log.warn({}, what);
    problem = what;
  }

  return {
    resolved: (told) =>
      queue.run(async () => {
        presence = told;
        if (told === 'running') endGiveWay();
        // A run of ours that was killed may have left some.
        if (told === 'running' && taken === undefined) await needs.resolvedFiles.giveWay();
        await settle();
      }),
    giveWay: () =>
      queue.run(async () => {
        if (closed) return;
        endGiveWay();
        cancelGiveWay = clock.after(GIVE_WAY_MS, () => {
          endGiveWay();
          void queue.run(settle);
        });
        await settle();
      }),
    changed() {
      if (taken === undefined) return;
      const before = taken.told;
      taken.told = properties(ground);
      const names = [...taken.told].filter(([name, text]) => before.get(name) !== text).map(([name]) => name);
      taken.objects.changed(MANAGER_PATH, MANAGER.name, names);
    },
    get standing() {
      return taken !== undefined;
    },
    get problem() {
      return problem;
    },
    close: () =>
      queue.run(async () => {
        closed = true;
        endGiveWay();
        await settle();
      }),
  };

  function endGiveWay(): void {
    cancelGiveWay?.();
    cancelGiveWay = undefined;
  }
}

interface Taken {
  readonly objects: ObjectServer;
  readonly sockets: readonly { close(): Promise<void> }[];
  /** Properties whose changes are told, as they were told last. */
  told: ReadonlyMap<string, string>;
  free: () => Promise<void>;
}

/** The manager's properties whose changes are told, as text. */
function properties(ground: MonitorGround): ReadonlyMap<string, string> {
  const { get, table } = managerObject(ground, {});
  const names = Object.keys(table.properties).filter((name) => table.properties[name]?.emits === 'value');
  return new Map(names.map((name) => [name, JSON.stringify(get[name]?.())]));
}

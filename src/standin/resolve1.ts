import type { ObjectTree, ServedInterface } from '../system/bus-interface.ts';
import { BusError } from '../system/bus-service.ts';
import type { StandinGround } from './ground.ts';
import { linkObject } from './link-object.ts';
import { ifindexOfPath, linkPath } from './link-path.ts';
import { SYSLOG_LEVELS } from './log-level.ts';
import { managerMethods, managerObject } from './manager-object.ts';
import { LOG_CONTROL, LOG_CONTROL_PATH, MANAGER_PATH } from './resolve1-tables.ts';

/** All objects of systemd-resolved on the bus: the manager, one for each link, and the log's. */
export function resolve1Tree(ground: StandinGround): ObjectTree {
  const methods = managerMethods(ground);
  return {
    interfacesAt(path) {
      if (path === MANAGER_PATH) return [managerObject(ground, methods)];
      if (path === LOG_CONTROL_PATH) return [logObject(ground)];
      const ifindex = ifindexOfPath(path);
      const link = ifindex === undefined ? undefined : ground.links.byIndex(ifindex);
      return link === undefined ? undefined : [linkObject(ground, link)];
    },
    paths: () => [
      LOG_CONTROL_PATH,
      MANAGER_PATH,
      ...ground.links.all().map(({ ifindex }) => linkPath(ifindex)),
    ],
  };
}

/** The log goes where systemd puts it; another target cannot be had. */
const TARGET = 'journal';

function logObject({ log, rights }: StandinGround): ServedInterface {
  return {
    table: LOG_CONTROL,
    methods: {},
    get: { LogLevel: () => log.level(), LogTarget: () => TARGET, SyslogIdentifier: () => 'dnskeeperd' },
    set: {
      LogLevel: async (value, call) => {
        await rights.permitRoot(call);
        if (!SYSLOG_LEVELS.includes(String(value)))
          throw invalid(`Invalid log level '${String(value).slice(0, 64)}'`);
        log.setLevel(String(value));
      },
      LogTarget: async (value, call) => {
        await rights.permitRoot(call);
        if (value !== TARGET && value !== 'auto') throw invalid('The log goes to the journal only.');
      },
    },
  };
}

const invalid = (text: string): BusError => new BusError('org.freedesktop.DBus.Error.InvalidArgs', text);

import { VarlinkError } from '../system/varlink-frames.ts';
import type { VarlinkCall, VarlinkInterface } from '../system/varlink-interface.ts';
import type { LogControl } from './ground.ts';
import { SYSLOG_LEVELS } from './log-level.ts';

/** What the interface is made of. */
export interface ServiceGround {
  readonly log: LogControl;
  /** Who may change something beside root. */
  readonly ownUid: number;
}

/** io.systemd.service, which every service of systemd has on its socket: whether it lives, and how much it logs. */
export function serviceInterface({ log, ownUid }: ServiceGround): VarlinkInterface {
  const permit = ({ peer }: VarlinkCall): void => {
    if (peer?.uid !== 0 && peer?.uid !== ownUid)
      throw new VarlinkError('org.varlink.service.PermissionDenied');
  };
  return {
    name: 'io.systemd.service',
    description: DESCRIPTION,
    methods: {
      Ping: { answer: () => ({}) },
      SetLogLevel: {
        takes: { level: 'int' },
        answer(call) {
          permit(call);
          const level = SYSLOG_LEVELS[Number(call.parameters['level'])];
          if (level === undefined)
            throw new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'level' });
          log.setLevel(level);
          return {};
        },
      },
      GetLogLevel: { answer: () => ({ level: SYSLOG_LEVELS.indexOf(log.level()) }) },
    },
  };
}

/** GetEnvironment is left out: what stands in ours is nobody's business. */
const DESCRIPTION = `# What every service can be asked.
interface io.systemd.service

# Whether the service answers.
method Ping() -> ()

# How much is logged, as a level of syslog from 0 (least) to 7 (most). For root.
method SetLogLevel(level: int) -> ()

# The level that was set last.
method GetLogLevel() -> (level: int)
`;

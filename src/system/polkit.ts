import { DnskeeperError, messageOf } from '../core/errors.ts';
import type { Bus, BusValue } from './bus.ts';
import type { BusCallers } from './bus-callers.ts';
import { BusError, type IncomingCall } from './bus-service.ts';
import type { Log } from './log.ts';

/** Who may do what over the bus. */
export interface CallerRights {
  /**
   * Resolves when the caller may do the action; throws a BusError (AccessDenied, InteractiveAuthorizationRequired)
   * when not. `details` are shown to whoever is asked for a password.
   */
  permit(call: IncomingCall, action: string, details?: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when the caller is root or the daemon's own user; throws AccessDenied when not. */
  permitRoot(call: IncomingCall): Promise<void>;
}

/** What the check is made with. */
export interface PolkitOptions {
  readonly bus: Bus;
  readonly callers: BusCallers;
  /** The daemon's own user, who may do all that the daemon may. */
  readonly ownUid: number;
  readonly log: Log;
}

/** Somebody types a password; callers themselves wait for 120 s. */
const INTERACTIVE_MS = 115_000;
const SILENT_MS = 10_000;

/** The rights of callers: root and the daemon's own user may do everything, all others what polkit grants them. */
export function callerRights({ bus, callers, ownUid, log }: PolkitOptions): CallerRights {
  return {
    async permit(call, action, details = {}) {
      const uid = await callers.uidOf(call.sender);
      if (uid === 0 || uid === ownUid) return;
      const verdict = await askPolkit(bus, call, action, details).catch((error: unknown) => {
        log.warn(
          { action, uid, error: messageOf(error) },
          'polkit could not be asked, so only root may do this',
        );
        return { authorized: false, challenge: false };
      });
      log.info({ action, uid, ...verdict }, 'asked polkit about a caller');
      if (verdict.authorized) return;
      // Also where nobody could be asked for a password: no agent runs.
      if (verdict.challenge)
        throw new BusError(
          `${ERROR}.InteractiveAuthorizationRequired`,
          'Interactive authentication required.',
        );
      throw new BusError(`${ERROR}.AccessDenied`, 'Permission denied');
    },
    async permitRoot(call) {
      const uid = await callers.uidOf(call.sender);
      if (uid !== 0 && uid !== ownUid) throw new BusError(`${ERROR}.AccessDenied`, 'Permission denied');
    },
  };
}

const ERROR = 'org.freedesktop.DBus.Error';

interface Verdict {
  readonly authorized: boolean;
  readonly challenge: boolean;
}

/** CheckAuthorization of org.freedesktop.PolicyKit1.Authority; polkitd is started by the bus where it is installed. */
async function askPolkit(
  bus: Bus,
  call: IncomingCall,
  action: string,
  details: Readonly<Record<string, string>>,
): Promise<Verdict> {
  const subject: BusValue = ['system-bus-name', { name: { signature: 's', value: call.sender } }];
  const allowInteraction = call.interactive ? 1 : 0;
  const [result] = await bus.call(
    {
      destination: 'org.freedesktop.PolicyKit1',
      path: '/org/freedesktop/PolicyKit1/Authority',
      interface: 'org.freedesktop.PolicyKit1.Authority',
      member: 'CheckAuthorization',
      signature: '(sa{sv})sa{ss}us',
      body: [subject, action, details, allowInteraction, ''],
      mayStart: true,
    },
    { deadlineMs: call.interactive ? INTERACTIVE_MS : SILENT_MS, signal: call.signal },
  );
  const [authorized, challenge] = Array.isArray(result) ? result : [];
  if (typeof authorized !== 'boolean' || typeof challenge !== 'boolean')
    throw new DnskeeperError('PROTOCOL', 'polkit answered with something else than a verdict.');
  return { authorized, challenge };
}

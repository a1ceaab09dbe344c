import { expect, onTestFinished, test } from 'vitest';
import { busCallers } from '../../src/system/bus-callers.ts';
import type { IncomingCall, ServiceBus } from '../../src/system/bus-service.ts';
import { silentLog } from '../../src/system/log.ts';
import { type CallerRights, callerRights } from '../../src/system/polkit.ts';
import type { PeerCall, PeerReply } from '../support/bus-peer.ts';
import { fakeBusDaemon } from '../support/fake-bus.ts';
import { until } from '../support/until.ts';

const ACTION = 'org.freedesktop.resolve1.set-dns-servers';

/** Rights as asked by a caller of a user, with a polkitd that answers as told, or with none. */
async function asking(
  uid: number,
  polkit?: (call: PeerCall) => PeerReply,
): Promise<{ rights: CallerRights; call(interactive?: boolean): IncomingCall; asked: PeerCall[] }> {
  const daemon = fakeBusDaemon();
  const open = (): ServiceBus => {
    const bus = daemon.open();
    onTestFinished(() => bus.close());
    return bus;
  };
  const bus = open();
  const caller = open();
  await until(() => caller.uniqueName !== undefined, 'the caller is connected');
  const sender = caller.uniqueName ?? '';
  daemon.setUser(sender, uid);
  const asked: PeerCall[] = [];
  if (polkit !== undefined) {
    const peer = daemon.peer();
    await peer.own('org.freedesktop.PolicyKit1');
    peer.answer((call) => {
      asked.push(call);
      return polkit(call);
    });
  }
  return {
    asked,
    rights: callerRights({ bus, callers: busCallers(bus), ownUid: 990, log: silentLog }),
    call: (interactive = false) => ({
      sender,
      path: '/',
      interface: '',
      member: 'SetLinkDNS',
      signature: '',
      body: [],
      interactive,
      signal: AbortSignal.timeout(20_000),
    }),
  };
}

const verdict = (authorized: boolean, challenge: boolean) => (): PeerReply => ({
  signature: '(bba{ss})',
  body: [[authorized, challenge, {}]],
});

test.each([
  ['root', 0],
  ["the daemon's own user", 990],
])('%s may do everything without polkit', async (_, uid) => {
  const { rights, call } = await asking(uid);
  await expect(rights.permit(call(), ACTION)).resolves.toBeUndefined();
});

test('a plain user may do what polkit grants', async () => {
  const { rights, call, asked } = await asking(1000, verdict(true, false));
  await expect(rights.permit(call(true), ACTION, { interface: 'eth0' })).resolves.toBeUndefined();
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({
    path: '/org/freedesktop/PolicyKit1/Authority',
    interface: 'org.freedesktop.PolicyKit1.Authority',
    member: 'CheckAuthorization',
  });
  const [subject, action, details, flags, cancellation] = asked[0]?.body ?? [];
  expect(subject).toEqual(['system-bus-name', expect.objectContaining({ name: call().sender })]);
  expect([action, { ...(details as object) }, flags, cancellation]).toEqual([
    ACTION,
    { interface: 'eth0' },
    1,
    '',
  ]);
});

test.each<[string, (() => PeerReply) | undefined, boolean, string]>([
  ['without polkit', undefined, false, 'AccessDenied'],
  ['when polkit says no', verdict(false, false), false, 'AccessDenied'],
  ['when the password was wrong', verdict(false, false), true, 'AccessDenied'],
  [
    'where nobody could be asked for a password',
    verdict(false, true),
    true,
    'InteractiveAuthorizationRequired',
  ],
  ['when nobody can be asked', verdict(false, true), false, 'InteractiveAuthorizationRequired'],
  ['when polkit fails', () => ({ error: 'org.example.Oops', text: '' }), true, 'AccessDenied'],
  ['when polkit answers nonsense', () => ({ signature: 's', body: ['yes'] }), true, 'AccessDenied'],
])('a plain user may not, %s', async (_, polkit, interactive, error) => {
  const { rights, call } = await asking(1000, polkit);
  await expect(rights.permit(call(interactive), ACTION)).rejects.toMatchObject({
    errorName: `org.freedesktop.DBus.Error.${error}`,
  });
});

test('root alone passes where nobody else may', async () => {
  const root = await asking(0);
  await expect(root.rights.permitRoot(root.call())).resolves.toBeUndefined();
  const user = await asking(1000, verdict(true, false));
  await expect(user.rights.permitRoot(user.call(true))).rejects.toMatchObject({
    errorName: 'org.freedesktop.DBus.Error.AccessDenied',
  });
  expect(user.asked).toEqual([]);
});

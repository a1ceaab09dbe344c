import type { DaemonControl, Outcome } from '../../src/control/daemon-control.ts';
import type { ResolverView } from '../../src/core/resolver-view.ts';
import type { Change, Status } from '../../src/core/status.ts';
import { sampleHistory, sampleQuery, sampleStatus } from './sample-status.ts';
import { sampleView } from './sample-view.ts';

/** A daemon's control that holds what a test puts into it. */
export interface FakeControl extends DaemonControl {
  resolver: ResolverView;
  /** What changing commands were asked, in order. */
  readonly asked: string[];
  readonly listeners: number;
  publish(status: Status): void;
  change(change: Change): void;
  /** What the next changing commands do. */
  outcome: () => Promise<Outcome>;
}

/** A fake that starts with the given status. */
export function fakeControl(first: Status = sampleStatus): FakeControl {
  let status = first;
  const history = [...sampleHistory];
  const onStatus = new Set<(status: Status) => void>();
  const onChange = new Set<(change: Change) => void>();
  const asked: string[] = [];
  const ask = (what: string): Promise<Outcome> => {
    asked.push(what);
    return fake.outcome();
  };
  const fake: FakeControl = {
    asked,
    get listeners() {
      return onStatus.size + onChange.size;
    },
    outcome: async () => ({ ok: true, text: 'Done.' }),
    publish(next) {
      status = next;
      for (const listener of onStatus) listener(next);
    },
    change(change) {
      history.push(change);
      for (const listener of onChange) listener(change);
    },
    status: () => status,
    history: () => history,
    onStatus(listener) {
      onStatus.add(listener);
      return () => onStatus.delete(listener);
    },
    onChange(listener) {
      onChange.add(listener);
      return () => onChange.delete(listener);
    },
    reload: () => ask('reload'),
    takeover: () => ask('takeover'),
    release: () => ask('release'),
    useProfile: (name, forMs) => ask(`profile ${name} ${forMs}`),
    tryConfiguration: (name, text, forMs) => ask(`try ${name} ${text.length} ${forMs}`),
    endTrial: (how) => ask(how),
    giveWay: () => ask('giveWay'),
    standIn: () => ask('standIn'),
    query: async (name, type) => {
      asked.push(`query ${name} ${type}`);
      return sampleQuery;
    },
    resolver: sampleView,
    flush: (name) => ask(name === undefined ? 'flush' : `flush ${name}`),
  };
  return fake;
}

import { describe, expect, it } from 'vitest';
import { BACK_END, type BackEndKind, type Zone } from '../../src/core/back-end.ts';
import type { Domain } from '../../src/core/domain.ts';
import { DnskeeperError } from '../../src/core/errors.ts';
import type { Plan } from '../../src/core/plan.ts';
import { parseServer } from '../../src/core/server.ts';
import { type BackEnd, backEnd, type RunningBackEnd } from '../../src/outputs/back-end.ts';
import { EMPTY_PLAN } from '../support/decision.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { recordingLog } from '../support/recording-log.ts';
import { must } from '../support/sample-status.ts';
import { until } from '../support/until.ts';

describe('a plan is carried out by another resolver', () => {
  it('as soon as that has been told, and by our own until then', async () => {
    const machine = start('dnsmasq');
    machine.back.apply(plan('192.0.2.1'));
    expect(machine.asked.at(-1)).toBe('192.0.2.1 alone');
    await machine.state('carrying');
    expect(machine.asked.at(-1)).toBe('192.0.2.1 by back end');
    expect(machine.programs[0]?.fed).toEqual(['192.0.2.1']);
    expect(machine.back.status()).toMatchObject({ kind: 'dnsmasq', version: '1.0', starts: 1 });
  });

  it('without an interruption when the next plan says the same of names', async () => {
    const machine = await carrying();
    machine.asked.length = 0;
    machine.back.apply(plan('192.0.2.1'));
    expect(machine.asked).toEqual(['192.0.2.1 by back end']);
    expect(machine.programs[0]?.fed).toHaveLength(1);
  });

  it('not where the configuration wants none: then it costs nothing', async () => {
    const machine = start('builtin');
    machine.back.apply(plan('192.0.2.1'));
    await machine.settled();
    expect(machine.asked).toEqual(['192.0.2.1 alone']);
    expect(machine.back.status()).toBeUndefined();
    expect(machine.programs).toEqual([]);
  });

  it('never with what it was told before: our own asks until it knows better', async () => {
    const machine = await carrying();
    machine.asked.length = 0;
    machine.back.apply(plan('192.0.2.2'));
    machine.back.apply(plan('192.0.2.3'));
    expect(machine.asked).toEqual(['192.0.2.2 alone', '192.0.2.3 alone']);
    await until(() => machine.asked.length > 2, 'it is carried again');
    expect(machine.asked.slice(2)).toEqual(['192.0.2.3 by back end']);
    expect(machine.programs[0]?.fed.at(-1)).toBe('192.0.2.3');
  });

  it('again after it has forgotten what it was told', async () => {
    const machine = await carrying();
    machine.asked.length = 0;
    machine.programs[0]?.forget();
    expect(machine.asked).toEqual(['192.0.2.1 alone']);
    await until(() => machine.asked.length > 1, 'it is fed again');
    expect(machine.asked).toEqual(['192.0.2.1 alone', '192.0.2.1 by back end']);
    expect(machine.programs).toHaveLength(1);
  });

  it('and forgets what it is told to, while it runs', async () => {
    const machine = start('dnsmasq');
    machine.back.flush(undefined);
    machine.back.apply(plan('192.0.2.1'));
    await machine.state('carrying');
    machine.back.flush(undefined);
    machine.back.flush('a.example' as Domain);
    await machine.settled();
    expect(machine.programs[0]?.flushed).toEqual([undefined, 'a.example']);
  });

  it('not where it cannot do what the plan says, and status says why', async () => {
    const machine = await carrying();
    machine.back.apply(plan('192.0.2.1', 'yes'));
    await machine.state('unfit');
    expect(machine.asked.at(-1)).toBe('192.0.2.1 alone');
    expect(machine.back.status()?.reason).toMatch(/TLS/);
    machine.back.apply(plan('192.0.2.1'));
    await machine.state('carrying');
    expect(machine.programs).toHaveLength(1);
  });

  it('by another one when the configuration changes, and by none when it says so', async () => {
    const machine = await carrying();
    machine.kind = 'unbound';
    machine.back.apply(plan('192.0.2.1'));
    await until(() => machine.back.status()?.kind === 'unbound', 'the other is there');
    await machine.state('carrying');
    expect(machine.programs.map(({ kind, ended }) => [kind, ended])).toEqual([
      ['dnsmasq', true],
      ['unbound', false],
    ]);
    machine.kind = 'builtin';
    machine.back.apply(plan('192.0.2.1'));
    expect(machine.asked.at(-1)).toBe('192.0.2.1 alone');
    await until(() => machine.programs[1]?.ended === true, 'it has ended');
    expect(machine.back.status()).toBeUndefined();
  });
});

describe('when it fails, our own resolver asks', () => {
  it('at the moment it ends, and it is started again and told anew', async () => {
    const machine = await carrying();
    machine.programs[0]?.die('killed by somebody');
    await until(() => machine.asked.at(-1) === '192.0.2.1 alone', 'our own asks');
    await machine.state('failed');
    expect(machine.back.status()?.reason).toMatch(/killed by somebody/);
    machine.clock.advance(200);
    await machine.state('carrying');
    expect(machine.programs[1]?.fed).toEqual(['192.0.2.1']);
  });

  it('for a minute once it has ended five times in a row', async () => {
    const machine = await carrying();
    for (let time = 0; time < 4; time++) {
      machine.programs.at(-1)?.die('no reason');
      await machine.state('failed');
      machine.clock.advance(200);
      await machine.state('carrying');
    }
    machine.programs.at(-1)?.die('no reason');
    await until(() => machine.back.status()?.reason.endsWith('after a minute.') === true, 'it rests');
    machine.clock.advance(59_000);
    await machine.settled();
    expect(machine.programs).toHaveLength(5);
    machine.clock.advance(1000);
    await machine.state('carrying');
  });

  it('until the next plan or configuration, which does not wait for the end of a pause', async () => {
    const machine = await resting();
    machine.refusal = undefined;
    machine.clock.advance(1000);
    machine.back.apply(plan('192.0.2.1'));
    await machine.state('carrying');
    expect(machine.clock.waiting).toBe(0);
  });

  it('and a storm of plans starts it no more often', async () => {
    const machine = await resting();
    const before = machine.back.status()?.starts;
    for (let time = 0; time < 1000; time++) machine.back.apply(plan(`192.0.2.${time % 250}`));
    await machine.settled();
    expect(machine.back.status()?.starts).toBe(before);
  });

  it('where it cannot be started', async () => {
    const machine = start('unbound');
    machine.refusal = 'there is no program unbound';
    machine.back.apply(plan('192.0.2.1'));
    await machine.state('failed');
    expect(machine.asked).toEqual(['192.0.2.1 alone']);
    expect(machine.back.status()?.reason).toMatch(/there is no program unbound/);
    machine.refusal = undefined;
    machine.clock.advance(200);
    await machine.state('carrying');
  });

  it('where it does not take what it is told', async () => {
    const machine = await carrying();
    const [program] = machine.programs;
    if (program !== undefined) program.refusal = 'bad server';
    machine.back.apply(plan('192.0.2.2'));
    await machine.state('failed');
    expect(program?.ended).toBe(true);
    expect(machine.asked.at(-1)).toBe('192.0.2.2 alone');
  });

  it.each([
    ['goes on when its control answers, because then the network is silent', undefined, 'carrying'],
    ['is ended and started again when its control is silent too', 'no answer', 'failed'],
  ])('one that leaves a question unanswered %s', async (_, refusal, state) => {
    const machine = await carrying();
    const [program] = machine.programs;
    if (program !== undefined) program.refusal = refusal;
    machine.back.unanswered();
    await until(() => program?.probes === 1, 'it was probed');
    await machine.settled();
    expect(machine.back.status()?.state).toBe(state);
    expect(program?.ended).toBe(state === 'failed');
  });

  it('and nothing is left running at the end', async () => {
    const machine = await carrying();
    await machine.back.close();
    expect(machine.programs.every(({ ended }) => ended)).toBe(true);
    expect(machine.asked.at(-1)).toBe('192.0.2.1 alone');
    expect(machine.clock.waiting).toBe(0);
  });
});

interface FakeProgram {
  readonly kind: BackEndKind;
  readonly fed: string[];
  probes: number;
  readonly flushed: (string | undefined)[];
  ended: boolean;
  refusal: string | undefined;
  die(why: string): void;
  forget(): void;
}

interface Machine {
  kind: BackEndKind;
  /** Why nothing can be started. */
  refusal: string | undefined;
  readonly back: BackEnd;
  readonly clock: ManualClock;
  /** What the resolver was told, in order. */
  readonly asked: string[];
  readonly programs: FakeProgram[];
  state(wanted: string): Promise<void>;
  /** Everything that was to be done at once is done. */
  settled(): Promise<void>;
}

async function carrying(): Promise<Machine> {
  const machine = start('dnsmasq');
  machine.back.apply(plan('192.0.2.1'));
  await machine.state('carrying');
  return machine;
}

/** One that has failed five times in a row, and is left alone for a minute. */
async function resting(): Promise<Machine> {
  const machine = start('unbound');
  machine.refusal = 'there is no program unbound';
  machine.back.apply(plan('192.0.2.1'));
  for (let starts = 1; starts <= 5; starts++) {
    await until(
      () => machine.back.status()?.state === 'failed' && machine.back.status()?.starts === starts,
      'it failed',
    );
    if (starts < 5) machine.clock.advance(200);
  }
  return machine;
}

function start(kind: BackEndKind): Machine {
  const clock = manualClock();
  const asked: string[] = [];
  const programs: FakeProgram[] = [];
  const starting = (own: BackEndKind) => ({
    async start(): Promise<RunningBackEnd> {
      if (machine.refusal !== undefined) throw new DnskeeperError('IO', machine.refusal);
      const { program, running } = fakeProgram(own);
      programs.push(program);
      return running;
    },
  });
  const machine: Machine = {
    kind,
    refusal: undefined,
    clock,
    asked,
    programs,
    back: backEnd({
      kind: () => machine.kind,
      programs: { dnsmasq: starting('dnsmasq'), unbound: starting('unbound') },
      resolver: {
        zonesOf: (wanted) => JSON.parse(wanted.inexpressible[0] ?? '[]') as readonly Zone[],
        apply: (wanted, carrier) =>
          void asked.push(`${wanted.inexpressible[1]} ${carrier === BACK_END ? 'by back end' : 'alone'}`),
      },
      clock,
      log: recordingLog(),
    }),
    state: (wanted) => until(() => machine.back.status()?.state === wanted, `its state is ${wanted}`),
    async settled() {
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    },
  };
  return machine;
}

function fakeProgram(kind: BackEndKind): { readonly program: FakeProgram; readonly running: RunningBackEnd } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let forget = (): void => {};
  const check = async (): Promise<void> => {
    if (program.refusal !== undefined) throw new DnskeeperError('PROTOCOL', program.refusal);
  };
  const program: FakeProgram = {
    kind,
    fed: [],
    probes: 0,
    flushed: [],
    ended: false,
    refusal: undefined,
    die(why) {
      program.ended = true;
      resolve(why);
    },
    forget: () => forget(),
  };
  return {
    program,
    running: {
      version: '1.0',
      ended: promise,
      async feed(zones) {
        await check();
        program.fed.push(
          zones.flatMap((zone) => zone.servers.map(({ server }) => server.address.bytes.join('.'))).join(' '),
        );
      },
      async probe() {
        program.probes++;
        await check();
      },
      async flush(name) {
        program.flushed.push(name);
        await check();
      },
      onForgot(listener) {
        forget = listener;
      },
      async end() {
        program.die('it was ended');
      },
    },
  };
}

/** A plan that names one server for all names; the fake resolver reads its zones where it carries them. */
function plan(address: string, encryption: 'no' | 'yes' = 'no'): Plan {
  const zones = [
    { domain: '.', behindPortal: false, servers: [{ server: must(parseServer(address)), encryption }] },
  ];
  return { ...EMPTY_PLAN, inexpressible: [JSON.stringify(zones), address] };
}

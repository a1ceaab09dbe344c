import { expect, it } from 'vitest';
import { TaskQueue } from '../../src/core/task-queue.ts';

it('runs tasks one after the other, and goes on after one that failed', async () => {
  const queue = new TaskQueue();
  const told: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = queue.run(async () => {
    told.push('first begins');
    await gate.promise;
    told.push('first ends');
    throw new Error('it failed');
  });
  const second = queue.run(async () => {
    told.push('second');
    return 2;
  });
  const idle = queue.idle().then(() => told.push('idle'));
  gate.resolve();
  await expect(first).rejects.toThrow('it failed');
  expect(await second).toBe(2);
  await idle;
  expect(told).toEqual(['first begins', 'first ends', 'second', 'idle']);
});

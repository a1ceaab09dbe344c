import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByHash, Hashed, hashBytes } from '../../src/resolver/by-hash.ts';
import { Queue, Queued } from '../../src/resolver/queue.ts';

class Person extends Queued {
  readonly name: number;

  constructor(name: number) {
    super();
    this.name = name;
  }
}

class Coat extends Hashed {
  readonly name: number;

  constructor(hash: number, name: number) {
    super(hash);
    this.name = name;
  }
}

/** Who comes (true) or leaves; what is there stays in the order in which it came. */
const comings = fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 200 });

describe('Queue', () => {
  it('has what a Set has, in the same order, whoever comes and leaves', () => {
    fc.assert(
      fc.property(comings, (steps) => {
        const people = Array.from({ length: 21 }, (_, name) => new Person(name));
        const queue = new Queue<Person>();
        const expected = new Set<Person>();
        for (const [comes, name] of steps) {
          const person = people[name] as Person;
          if (!comes) {
            queue.delete(person);
            expected.delete(person);
          } else if (!expected.has(person)) {
            queue.add(person);
            expected.add(person);
          }
          expect(queue.items()).toEqual([...expected]);
          expect(queue.first).toBe([...expected][0]);
        }
        queue.clear();
        expect(queue.items()).toEqual([]);
      }),
    );
  });

  it('what has left holds nothing of the queue, so that it can go alone', () => {
    const queue = new Queue<Person>();
    const people = [1, 2, 3].map((name) => new Person(name));
    for (const person of people) queue.add(person);
    for (const person of people) {
      queue.delete(person);
      expect([person.queue, person.before, person.after]).toEqual([undefined, undefined, undefined]);
    }
  });

  it('what stands in another queue stays there', () => {
    const [one, other] = [new Queue<Person>(), new Queue<Person>()];
    const person = new Person(1);
    one.add(person);
    other.delete(person);
    expect(one.items()).toEqual([person]);
  });
});

describe('ByHash', () => {
  it('finds what a Map finds, whatever hashes come together', () => {
    fc.assert(
      fc.property(comings, fc.integer({ min: 1, max: 21 }), (steps, hashes) => {
        const coats = Array.from({ length: 21 }, (_, name) => new Coat((name % hashes) * 1024, name));
        const table = new ByHash<Coat>();
        const expected = new Map<number, Coat>();
        for (const [comes, name] of steps) {
          const coat = coats[name] as Coat;
          if (!comes) {
            table.delete(coat);
            expected.delete(name);
          } else if (!expected.has(name)) {
            table.add(coat);
            expected.set(name, coat);
          }
          expect(table.size).toBe(expected.size);
          for (const { hash, name: wanted } of coats)
            expect(table.find(hash, (found) => found.name === wanted)).toBe(expected.get(wanted));
        }
      }),
    );
  });

  it('a hash depends on every byte and on the seed', () => {
    const bytes = Buffer.from('example');
    const hash = hashBytes(bytes, 0, bytes.length, 1);
    expect(hashBytes(bytes, 0, bytes.length, 1)).toBe(hash);
    expect(hashBytes(bytes, 0, bytes.length, 2)).not.toBe(hash);
    expect(hashBytes(bytes, 1, bytes.length, 1)).not.toBe(hash);
    for (let at = 0; at < bytes.length; at++) {
      const other = Buffer.from(bytes);
      other[at] = (other[at] ?? 0) ^ 1;
      expect(hashBytes(other, 0, other.length, 1)).not.toBe(hash);
    }
  });
});

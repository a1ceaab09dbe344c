/** Something that can stand in one queue at a time. */
export abstract class Queued {
  /** The queue's own: which one it stands in, and between whom. */
  queue: Queue<Queued> | undefined = undefined;
  before: Queued | undefined = undefined;
  after: Queued | undefined = undefined;
}

/**
 * Things in the order in which they came, each of which may leave at any time. Where some ten thousand a second come and
 * go a Map would do the same, but each table that it outgrows holds what stood in it, and the next table with all that
 * stands there, until the whole heap is swept: none of their garbage would be young any more. What leaves this queue
 * holds nothing.
 */
export class Queue<T extends Queued> {
  #first: T | undefined;
  #last: T | undefined;

  get first(): T | undefined {
    return this.#first;
  }

  /** Stand behind all others; what stands in a queue already has to leave it first. */
  add(item: T): void {
    item.queue = this;
    item.before = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.after = item;
    this.#last = item;
  }

  /** Leave the queue, if it stands there. */
  delete(item: T): void {
    if (item.queue !== this) return;
    const { before, after } = item as { before: T | undefined; after: T | undefined };
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    item.queue = undefined;
    item.before = undefined;
    item.after = undefined;
  }

  clear(): void {
    for (let item = this.#first; item !== undefined; item = this.#first) this.delete(item);
  }

  /** All that stand there now. */
  items(): T[] {
    const items: T[] = [];
    for (let item = this.#first; item !== undefined; item = item.after as T | undefined) items.push(item);
    return items;
  }
}

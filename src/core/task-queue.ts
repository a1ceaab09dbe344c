/** Tasks that run one after the other, in the order in which they were given; one that fails keeps no other back. */
export class TaskQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Run a task when those before it have ended; settles as it does. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const running = this.#last.then(task);
    this.#last = running.catch(() => {}); // whoever gave it hears of it
    return running;
  }

  /** Resolves when the tasks that were given so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

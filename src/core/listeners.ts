/** Who wants to hear of something; each until it lets go. */
export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  /** Hear every value from now on, until the returned function is called. */
  add(listener: (value: T) => void): () => void {
    const own = (value: T): void => listener(value); // one function may be added twice, and let go once
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  tell(value: T): void {
    for (const listener of this.#listeners) listener(value);
  }
}

// The bounded queues of the page: one for unread requests, and one for read requests.

/** The maximum number of kept requests, and the maximum sum of their JSON characters. */
export const KEPT_REQUESTS = 1000;
export const KEPT_CHARACTERS = 16_000_000;

/** A queue that removes its oldest items when it is full, but never the newest. `size` returns the characters of an item. */
export class Ring {
  #items = [];
  #characters = 0;
  #size;

  constructor(size) {
    this.#size = size;
  }

  get length() {
    return this.#items.length;
  }

  /** Adds an item and returns the removed ones. */
  push(item) {
    this.#items.push(item);
    this.#characters += this.#size(item);
    const gone = [];
    while (this.#items.length > KEPT_REQUESTS || (this.#characters > KEPT_CHARACTERS && this.#items.length > 1)) {
      gone.push(this.shift());
    }
    return gone;
  }

  /** Removes and returns the oldest item, or undefined if there is none. */
  shift() {
    const item = this.#items.shift();
    if (item !== undefined) this.#characters -= this.#size(item);
    return item;
  }

  clear() {
    this.#items = [];
    this.#characters = 0;
  }

  /** Iterates over the items, oldest first. */
  [Symbol.iterator]() {
    return this.#items[Symbol.iterator]();
  }
}

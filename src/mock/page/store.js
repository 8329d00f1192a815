// What the page keeps, bounded twice: requests that arrived and are not read yet, and requests that were read.

/** How many requests are kept, and how many characters of JSON they may have together. */
export const KEPT_REQUESTS = 1000;
export const KEPT_CHARACTERS = 16_000_000;

/** A queue that lets its oldest go when it is full; the newest always stays. `size` tells an item's characters. */
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

  /** Adds one, and gives those that had to go for it. */
  push(item) {
    this.#items.push(item);
    this.#characters += this.#size(item);
    const gone = [];
    while (this.#items.length > KEPT_REQUESTS || (this.#characters > KEPT_CHARACTERS && this.#items.length > 1)) {
      gone.push(this.shift());
    }
    return gone;
  }

  /** Takes the oldest, undefined if there is none. */
  shift() {
    const item = this.#items.shift();
    if (item !== undefined) this.#characters -= this.#size(item);
    return item;
  }

  clear() {
    this.#items = [];
    this.#characters = 0;
  }

  /** The items, oldest first. */
  [Symbol.iterator]() {
    return this.#items[Symbol.iterator]();
  }
}

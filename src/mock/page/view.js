// The list of cards: a bounded number of the newest requests that match the filter.

import { byId } from './dom.js';
import { gapCard, requestCard, unreadableCard } from './card.js';
import { isActive, select } from './filter.js';

/** The maximum number of requests in the document. */
export const SHOWN_REQUESTS = 200;

/** Shows the entries of the store. An entry is `{ request, missed, selection, card }`. */
export class View {
  #list = byId('requests');
  #entries;
  #filter;
  #on;

  constructor(entries, filter, on) {
    this.#entries = entries;
    this.#filter = filter;
    this.#on = on;
  }

  /** Shows an entry at the top if it matches the filter. */
  add(entry) {
    entry.selection = this.#passes(entry);
    if (entry.selection === null) return;
    this.#list.prepend(this.#cardOf(entry));
    if (this.#list.childElementCount > SHOWN_REQUESTS) this.#drop(this.#list.lastElementChild);
  }

  /** Removes entries that the store has removed. */
  remove(entries) {
    for (const { card } of entries) if (card?.isConnected) this.#drop(card);
  }

  /** Shows the entries that match another filter. */
  show(filter) {
    this.#filter = filter;
    const passing = [];
    for (const entry of this.#entries) {
      entry.selection = this.#passes(entry);
      entry.card = null;
      if (entry.selection !== null) passing.push(entry);
    }
    const newest = passing.slice(-SHOWN_REQUESTS).reverse();
    this.#list.replaceChildren(...newest.map((entry) => this.#cardOf(entry)));
  }

  clear() {
    this.#list.replaceChildren();
  }

  /** Returns the numbers of requests that are kept, that match, and that are in the document. */
  figures() {
    let kept = 0;
    let passing = 0;
    for (const { request, selection } of this.#entries) {
      if (request === null) continue;
      kept += 1;
      if (selection !== null) passing += 1;
    }
    return { kept, passing, shown: this.#list.querySelectorAll(':scope > .request').length };
  }

  #passes({ request }) {
    if (request !== null) return select(request, this.#filter);
    return isActive(this.#filter) ? null : [];
  }

  #cardOf(entry) {
    const { request, missed, selection } = entry;
    entry.card =
      request !== null ? requestCard(request, selection, this.#on) : missed > 0 ? gapCard(missed) : unreadableCard();
    return entry.card;
  }

  #drop(card) {
    // Keeps the focus in the page when its card is removed.
    if (card.contains(document.activeElement)) byId('stream').focus({ preventScroll: true });
    card.remove();
  }
}

// The list of cards: the newest that pass the filter, a bounded number of them.

import { byId } from './dom.js';
import { gapCard, requestCard, unreadableCard } from './card.js';
import { isActive, select } from './filter.js';

/** How many requests are in the document at most. */
export const SHOWN_REQUESTS = 200;

/** `entries` is the store's; an entry is `{ request, missed, selection, card }`. */
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

  /** Shows an entry on top, if it passes the filter. */
  add(entry) {
    entry.selection = this.#passes(entry);
    if (entry.selection === null) return;
    this.#list.prepend(this.#cardOf(entry));
    if (this.#list.childElementCount > SHOWN_REQUESTS) this.#drop(this.#list.lastElementChild);
  }

  /** Takes entries away that the store has let go. */
  remove(entries) {
    for (const { card } of entries) if (card?.isConnected) this.#drop(card);
  }

  /** Shows what passes another filter. */
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

  /** How many requests are kept, pass, and are in the document. */
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
    // The focus must not fall out of the page with the card that held it.
    if (card.contains(document.activeElement)) byId('stream').focus({ preventScroll: true });
    card.remove();
  }
}

// Announces changes to screen readers, at a bounded rate.

import { byId } from './dom.js';

/** The minimum time between two announcements of new requests, in ms. */
const SPACING_MS = 5000;

let requests = 0;
let wrong = 0;
let timer = null;

/** Counts a request for the next summary. */
export function arrived(request) {
  requests += 1;
  if (request.errors > 0) wrong += 1;
  timer ??= setTimeout(() => {
    say(`${requests} new ${requests === 1 ? 'request' : 'requests'}${wrong > 0 ? `, ${wrong} with errors` : ''}.`);
    requests = wrong = 0;
    timer = null;
  }, SPACING_MS);
}

/** Announces one sentence. */
export function say(sentence) {
  byId('announcer').textContent = sentence;
}

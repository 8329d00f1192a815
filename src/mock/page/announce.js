// Tells a screen reader what a look at the page would: politely, and seldom enough to be listened to.

import { byId } from './dom.js';

/** The least time between two announcements of what arrived, in ms. */
const SPACING_MS = 5000;

let requests = 0;
let wrong = 0;
let timer = null;

/** MockStats a request in; a summary is said when the last one is long enough ago. */
export function arrived(request) {
  requests += 1;
  if (request.errors > 0) wrong += 1;
  timer ??= setTimeout(() => {
    say(`${requests} new ${requests === 1 ? 'request' : 'requests'}${wrong > 0 ? `, ${wrong} with errors` : ''}.`);
    requests = wrong = 0;
    timer = null;
  }, SPACING_MS);
}

/** Says one sentence, of something that the person did or must know. */
export function say(sentence) {
  byId('announcer').textContent = sentence;
}

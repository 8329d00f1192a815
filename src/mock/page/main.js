// Connects the parts of the page: messages of the stream wait in an inbox, and each frame parses, stores and shows some of them.

import { arrived, say } from './announce.js';
import { showCounts, showHello, showState } from './counts.js';
import { byId, element, wireCopy } from './dom.js';
import { EVERYTHING, isActive } from './filter.js';
import { hasNumberSource } from './json.js';
import { listen, stepEvent } from './keys.js';
import { read } from './request.js';
import { KEPT_CHARACTERS, KEPT_REQUESTS, Ring } from './store.js';
import { open } from './stream.js';
import { SHOWN_REQUESTS, View } from './view.js';

/** The time budget of a frame for parsing and drawing, in ms. */
const SLICE_MS = 8;

/** The maximum number of event types in the filter. */
const OFFERED_TYPES = 100;

/** The delay between typing and filtering, in ms. */
const TYPING_MS = 120;

const inbox = new Ring((message) => message.text?.length ?? 0);
const entries = new Ring((entry) => entry.request?.size ?? 0);
const view = new View(entries, EVERYTHING, { user: filterUser });

let filter = EVERYTHING;
let paused = false;
let came = 0;
let cleared = false;
let ready = false;
let names = {};
let counts = null;
let scheduled = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw() {
  if (counts !== null) showCounts(counts);
  counts = null;
  if (!paused) {
    const end = performance.now() + SLICE_MS;
    while (inbox.length > 0 && performance.now() < end) take(inbox.shift());
    if (inbox.length > 0) schedule();
  }
  showFigures();
}

function take(message) {
  const entry = { request: null, missed: message.missed ?? 0, selection: null, card: null };
  if (message.text !== undefined) {
    try {
      entry.request = read(message.text, names);
      arrived(entry.request);
      offerTypes(entry.request);
    } catch {
      // Nested too deeply for the browser: shown as unreadable.
    }
  }
  view.remove(entries.push(entry));
  view.add(entry);
}

function receive(message) {
  inbox.push(message);
  came += 1;
  schedule();
}

function showFigures() {
  const { kept, passing, shown } = view.figures();
  const active = isActive(filter);
  byId('showing').textContent =
    kept === 0
      ? ''
      : active
        ? `${number(shown)} shown of ${number(passing)} that match, of ${number(kept)} kept`
        : `${number(shown)} shown of ${number(kept)} kept`;
  const nothing = ready && byId('requests').childElementCount === 0;
  byId('empty').hidden = !(nothing && entries.length === 0 && !cleared);
  byId('cleared').hidden = !(nothing && entries.length === 0 && cleared);
  byId('unmatched').hidden = !(nothing && entries.length > 0);
  byId('waiting').hidden = !paused;
  byId('waiting').textContent = waiting();
}

function waiting() {
  if (inbox.length === 0) return 'Paused. Nothing has come since.';
  if (came > inbox.length)
    return `Paused. ${number(came)} requests came; the latest ${number(inbox.length)} of them wait.`;
  return `Paused. ${number(inbox.length)} ${inbox.length === 1 ? 'request waits' : 'requests wait'}.`;
}

function number(value) {
  return value.toLocaleString();
}

function togglePause() {
  paused = !paused;
  came = inbox.length;
  byId('pause').querySelector('.text').textContent = paused ? 'Resume' : 'Pause';
  document.body.classList.toggle('paused', paused);
  say(paused ? 'Paused. What arrives waits.' : 'Resumed.');
  schedule();
}

function clear() {
  inbox.clear();
  entries.clear();
  view.clear();
  came = 0;
  cleared = true;
  say('Cleared.');
  schedule();
}

function startAfresh() {
  inbox.clear();
  entries.clear();
  view.clear();
  came = 0;
  cleared = false;
  schedule();
}

function applyFilter() {
  const next = {
    text: byId('filter-text').value.trim(),
    type: byId('filter-type').value,
    violations: byId('filter-violations').checked,
  };
  if (next.text === filter.text && next.type === filter.type && next.violations === filter.violations) return;
  filter = next;
  view.show(filter);
  showFigures();
  const { passing } = view.figures();
  say(`${number(passing)} ${passing === 1 ? 'request' : 'requests'} shown.`);
}

function resetFilter() {
  byId('filter-text').value = '';
  byId('filter-type').value = '';
  byId('filter-violations').checked = false;
  applyFilter();
}

function filterUser(value) {
  byId('filter-text').value = value;
  applyFilter();
  byId('filter-text').focus();
}

/** Adds the types of a request to the sorted list of the filter. */
function offerTypes(request) {
  const select = byId('filter-type');
  for (const { type } of request.batches.flatMap(({ events }) => events)) {
    const options = [...select.options];
    if (options.length > OFFERED_TYPES || options.some(({ value }) => value === type)) continue;
    const after = options.slice(1).find((option) => option.value > type) ?? null;
    select.insertBefore(element('option', { value: type }, type), after);
  }
}

function wireFilter() {
  let typing;
  byId('filter-text').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(applyFilter, TYPING_MS);
  });
  byId('filter-text').addEventListener('keydown', (event) => {
    if (event.key === 'Escape') resetFilter();
  });
  byId('filter-type').addEventListener('change', applyFilter);
  byId('filter-violations').addEventListener('change', applyFilter);
  byId('reset').addEventListener('click', () => {
    resetFilter();
    byId('filter-text').focus();
  });
}

function showHowToSend() {
  byId('origin').textContent = location.origin;
  byId('curl').textContent = [
    'curl -i -u KEY:SECRET',
    `  -H 'Content-Type: application/json'`,
    `  -d '{"environment": "development",
       "user_identities": {"customer_id": "123456"},
       "events": [{"event_type": "custom_event",
                   "data": {"event_name": "Hello", "custom_event_type": "other"}}]}'`,
    `  ${location.origin}/events`,
  ].join(' \\\n');
  if (navigator.clipboard) wireCopy(byId('copy-curl'), () => byId('curl').textContent);
  else byId('copy-curl').hidden = true;
}

byId('bounds').textContent =
  `This page keeps the latest ${number(KEPT_REQUESTS)} requests, at most ${KEPT_CHARACTERS / 1_000_000} million ` +
  `characters of JSON, and shows up to ${SHOWN_REQUESTS} of them.`;
byId('rounding').hidden = hasNumberSource;
byId('pause').addEventListener('click', togglePause);
byId('clear').addEventListener('click', clear);
showHowToSend();
wireFilter();
listen({
  '/': () => byId('filter-text').focus(),
  v: () => byId('filter-violations').click(),
  p: togglePause,
  c: clear,
  j: () => stepEvent(1),
  k: () => stepEvent(-1),
});
open({
  state(name) {
    showState(name);
    if (name === 'reconnecting') say('The connection is lost; trying again.');
  },
  hello(data) {
    ready = true;
    names = data.names;
    showHello(data);
    schedule();
  },
  restart: startAfresh,
  request: (text) => receive({ text }),
  gap: (missed) => receive({ missed }),
  counts(data) {
    counts = data;
    schedule();
  },
});

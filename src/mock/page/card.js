// The card of a request: its batches by user, their events by type, and the violations next to the values.
// The JSON of an event is written when the event is opened.

import { copyButton, element, growing } from './dom.js';
import { lines, write } from './json.js';

/** The limits on the parts of a request that are shown before the user asks for more. */
const BATCHES = 4;
const EVENTS = 6;
const VIOLATIONS = 5;

/** The maximum number of shown lines of the JSON of an event. Copying includes all lines. */
const JSON_LINES = 2000;

const STATUS = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No content',
  400: 'Refused',
  401: 'Not authorised',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Wrong method',
  413: 'Too large',
  415: 'Wrong content type',
  429: 'Too many requests',
  503: 'Unavailable',
};

/** The colours of event types, by family. The name of the type is always shown as well. */
const FAMILIES = {
  custom_event: 'custom',
  commerce_event: 'commerce',
  screen_view: 'screen',
  session_start: 'life',
  session_end: 'life',
  application_state_transition: 'life',
  first_run: 'life',
  uninstall: 'life',
  crash_report: 'tech',
  breadcrumb: 'tech',
  network_performance: 'tech',
  push_registration: 'push',
  push_message: 'push',
  profile: 'user',
  user_attribute_change: 'user',
  user_identity_change: 'user',
  opt_out: 'user',
};

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});

/** Returns the card of `request` with the selected batches and events. Calls `on.user(value)` when a user is chosen. */
export function requestCard(request, selection, on) {
  const title = `request-${request.number}`;
  const batches = growing(
    element('div', { class: 'batches' }),
    selection,
    BATCHES,
    ({ batch, events }) => batchPart(request, batch, events, on),
    'batches',
  );
  return element(
    'li',
    { class: 'request' },
    element(
      'article',
      { 'aria-labelledby': title },
      element(
        'header',
        {},
        element(
          'h3',
          { id: title },
          element('span', { class: 'number' }, `#${request.number}`),
          ' ',
          `${request.method} `,
          element('span', { class: 'path' }, request.path),
        ),
        status(request),
        refusedPart(request.batches),
        request.fault === null ? null : element('span', { class: 'tag fault' }, `fault: ${request.fault}`),
        count(request.errors, 'error'),
        count(request.warnings, 'warning'),
        element('span', { class: 'meta' }, size(request.bytes), ' · ', time(request.time)),
      ),
      violationList(request.violations),
      request.text === null ? null : element('pre', { class: 'body' }, request.text),
      batches,
    ),
  );
}

/** Returns the placeholder of `missed` discarded requests. */
export function gapCard(missed) {
  const requests = missed === 1 ? '1 request was' : `${missed.toLocaleString()} requests were`;
  return element('li', { class: 'gap' }, `${requests} forgotten by the server before this page could show them.`);
}

/** Returns the placeholder of an unreadable message. */
export function unreadableCard() {
  return element('li', { class: 'gap' }, 'A request came that this page could not read.');
}

function batchPart(request, batch, events, on) {
  const notes = [
    batch.duplicate ? 'Its source_request_id came before: accepted, counted, not stored again.' : null,
    batch.ignored
      ? 'The service drops it in silence: it has no events, or one without a time or younger than 72 hours.'
      : null,
    batch.refused ? 'Refused by an error in the response, and not stored.' : null,
  ].filter((note) => note !== null);
  return element(
    'section',
    { class: 'batch' },
    element(
      'div',
      { class: 'who' },
      element('h4', {}, ...who(batch.user, on)),
      batch.environment === null ? null : element('span', { class: 'tag' }, batch.environment),
      batch.duplicate ? element('span', { class: 'tag marked' }, 'duplicate') : null,
      batch.ignored ? element('span', { class: 'tag marked' }, 'ignored') : null,
      batch.refused ? element('span', { class: 'tag bad' }, 'refused') : null,
      ...batch.others
        .slice(0, 3)
        .map(({ kind, value }) => element('span', { class: 'other' }, `${kind} `, element('bdi', {}, value))),
      batchFields(request, batch),
    ),
    ...notes.map((note) => element('p', { class: 'note' }, note)),
    violationList(batch.violations),
    events.length === 0
      ? null
      : growing(
          element('ul', { class: 'events' }),
          events,
          EVENTS,
          (event) => eventPart(request, batch, event),
          'events',
        ),
  );
}

function who(user, on) {
  if (user === null) return [element('span', { class: 'face none', 'aria-hidden': 'true' }), 'no identity'];
  const button = element(
    'button',
    { type: 'button', class: 'user' },
    element('bdi', {}, user.value),
    element('span', { class: 'spoken' }, ': show this user alone'),
  );
  button.addEventListener('click', () => on.user(user.value));
  return [
    element('span', { class: `face hue-${hue(user.value)}`, 'aria-hidden': 'true' }),
    element('span', { class: 'kind' }, `${user.kind} `),
    button,
  ];
}

/** Returns one of eight colours, always the same for a user. */
function hue(text) {
  let hash = 0;
  for (const character of text) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return (hash >>> 13) % 8;
}

function eventPart(request, batch, event) {
  const pointer = `${prefix(request, batch)}/events/${event.index}`;
  const severity = worst(event.violations);
  const details = element(
    'details',
    { class: 'event' },
    element(
      'summary',
      {},
      element('span', { class: `type family-${familyOf(event.type)}` }, element('bdi', {}, event.type)),
      element('span', { class: 'name' }, element('bdi', {}, event.name)),
      severity === null ? null : element('span', { class: `flag ${severity}` }, severity),
    ),
  );
  opensTo(details, event.json, pointer, event.violations);
  return element('li', {}, details, violationList(event.violations));
}

/** Unknown types, such as those of custom documents, have no colour. */
function familyOf(type) {
  return Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : 'none';
}

/** Returns the collapsed batch without its events. */
function batchFields(request, batch) {
  const { events: _events, ...rest } =
    typeof batch.json === 'object' && batch.json !== null ? batch.json : { value: batch.json };
  const details = element('details', { class: 'fields' }, element('summary', {}, 'Batch fields'));
  opensTo(details, Array.isArray(batch.json) ? batch.json : rest, prefix(request, batch), batch.violations);
  return details;
}

function prefix(request, batch) {
  return request.path.includes('/bulkevents') ? `/${batch.index}` : '';
}

/** Makes `details` write the JSON of `value` when it is first opened. */
function opensTo(details, value, pointer, violations) {
  details.addEventListener('toggle', () => {
    if (!details.open || details.querySelector('.json') !== null) return;
    details.append(
      element(
        'div',
        { class: 'json' },
        copyButton(() => write(value), 'Copy JSON'),
        jsonPart(value, pointer, violations),
      ),
    );
  });
}

function jsonPart(value, pointer, violations) {
  const wrong = new Map(violations.map((violation) => [violation.pointer, violation.severity]));
  const part = element('pre', {});
  let shown = 0;
  for (const { depth, pointer: at, tokens } of lines(value, pointer)) {
    if (shown === JSON_LINES) {
      part.append(element('span', { class: 'line cut' }, `Cut after ${JSON_LINES.toLocaleString()} lines.`));
      break;
    }
    shown += 1;
    const line = element(
      'span',
      { class: 'line' },
      '  '.repeat(depth),
      ...tokens.map(([kind, text]) => element('span', { class: kind }, text)),
    );
    const severity = at === null ? undefined : wrong.get(at);
    if (severity !== undefined) {
      line.classList.add(severity === 'warning' ? 'warning' : 'error');
      line.append(element('span', { class: 'here' }, ` ◂ ${severity === 'warning' ? 'warning' : 'error'}`));
    }
    line.style.setProperty('--depth', depth);
    part.append(line);
  }
  return part;
}

function violationList(violations) {
  if (violations.length === 0) return null;
  const list = element('ul', { class: 'violations' });
  return growing(list, violations, VIOLATIONS, violationItem, 'violations');
}

function violationItem({ severity, pointer, message }) {
  const kind = severity === 'warning' ? 'warning' : 'error';
  return element(
    'li',
    { class: kind },
    element('span', { class: 'flag' }, kind),
    element('code', { class: 'pointer' }, pointer === '' ? '(batch)' : pointer),
    element('span', { class: 'message' }, message),
  );
}

function worst(violations) {
  if (violations.length === 0) return null;
  return violations.every(({ severity }) => severity === 'warning') ? 'warning' : 'error';
}

function count(number, noun) {
  return number === 0 ? null : element('span', { class: `tag ${noun}` }, `${number} ${noun}${number === 1 ? '' : 's'}`);
}

function status({ status: code }) {
  const kind = code !== null && code < 300 ? 'good' : 'bad';
  return element(
    'span',
    { class: `tag status ${kind}` },
    code === null ? 'no answer' : `${code} ${STATUS[code] ?? ''}`.trim(),
  );
}

/** Returns the number of refused batches of an accepted request. */
function refusedPart(batches) {
  const refused = batches.filter((batch) => batch.refused).length;
  if (refused === 0) return null;
  return element('span', { class: 'tag bad' }, `${refused} of ${batches.length} batches refused`);
}

function time(date) {
  if (Number.isNaN(date.getTime())) return 'no time';
  return element('time', { datetime: date.toISOString() }, clock.format(date));
}

function size(bytes) {
  return bytes < 1000
    ? `${bytes} B`
    : bytes < 1_000_000
      ? `${(bytes / 1000).toFixed(1)} kB`
      : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

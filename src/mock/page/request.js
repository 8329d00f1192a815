// The model of a request: batches by user, events by type, and violations by value.
// Clients can send any body, so the code assumes nothing about its structure.

import { isObject, parse, plain, steps } from './json.js';

/** The fields that can hold the name of an event; the first present one is used. */
const NAMES = [
  'event_name',
  'screen_name',
  'application_transition_type',
  'label',
  'user_attribute_name',
  'profile_event_type',
  'push_message_type',
  'message',
  'url',
];

/** The identities by which a user is shown, the preferred one first. */
const CALLED = ['customer_id', 'email', 'mobile_number', 'alias'];

/**
 * Parses the data of a `request` message. Throws if it is not JSON. For events without one of `NAMES`, the name is in the field that
 * `names`, from the document, contains for their type.
 */
export function read(text, names) {
  const message = parse(text);
  const batches = Array.isArray(message.batches)
    ? message.batches.map((batch, index) => readBatch(batch, index, names))
    : [];
  for (const index of message.duplicates ?? []) if (batches[index]) batches[index].duplicate = true;
  for (const index of message.ignored ?? []) if (batches[index]) batches[index].ignored = true;
  for (const index of message.refused ?? []) if (batches[index]) batches[index].refused = true;
  const request = {
    number: message.number,
    time: new Date(message.time_ms),
    method: plain(message.method),
    path: plain(message.path),
    status: message.status ?? null,
    bytes: message.bytes ?? 0,
    fault: message.fault ?? null,
    text: message.text ?? null,
    size: text.length,
    errors: 0,
    warnings: 0,
    violations: [],
    batches,
  };
  for (const violation of message.violations ?? []) {
    violation.severity === 'warning' ? (request.warnings += 1) : (request.errors += 1);
    placeOf(request, violation).violations.push(violation);
  }
  return request;
}

/** Returns the subject of a violation: an event, a batch, or the request as a whole. */
function placeOf(request, violation) {
  const path = steps(plain(violation.pointer));
  const batch = itemOf(request.batches, request.path.includes('/bulkevents') ? path.shift() : '0');
  const event = path[0] === 'events' ? itemOf(batch?.events, path[1]) : undefined;
  return event ?? batch ?? request;
}

/** Returns the item at a step of a pointer. A step can be any text, such as `length`. */
function itemOf(items, step) {
  return /^\d+$/.test(step ?? '') ? items?.[step] : undefined;
}

function readBatch(json, index, names) {
  const fields = isObject(json) ? json : {};
  const identities = identitiesOf(fields);
  const events = Array.isArray(fields.events) ? fields.events : [];
  return {
    index,
    json,
    user: identities[0] ?? null,
    others: identities.slice(1),
    environment: fields.environment === undefined ? null : plain(fields.environment),
    duplicate: false,
    ignored: false,
    refused: false,
    violations: [],
    events: events.map((event, place) => readEvent(event, place, names)),
  };
}

function readEvent(json, index, names) {
  const fields = isObject(json) ? json : {};
  const data = isObject(fields.data) ? fields.data : {};
  const type = fields.event_type === undefined ? 'no event_type' : plain(fields.event_type);
  return { index, json, type, name: nameOf(data, names[type]), violations: [] };
}

function nameOf(data, field) {
  const action = data.product_action?.action ?? data.promotion_action?.action;
  const isThere = (value) => value !== undefined && value !== null;
  const impressions = isThere(data.product_impressions) ? 'impressions' : undefined;
  const name = NAMES.map((key) => data[key]).find(isThere) ?? action ?? impressions ?? data[field];
  return isThere(name) ? plain(name) : '';
}

/** Returns the identities of a batch as pairs of kind and value, the preferred one first. */
function identitiesOf(batch) {
  const named = isObject(batch.user_identities) ? Object.entries(batch.user_identities) : [];
  const rank = ([kind]) => (CALLED.includes(kind) ? CALLED.indexOf(kind) : CALLED.length);
  named.sort((a, b) => rank(a) - rank(b));
  const device = isObject(batch.device_info) ? batch.device_info : {};
  const devices = Object.entries(device).filter(([kind]) => /_(advertising_id|idfv|uuid)$/.test(kind));
  return [...named, ['mpid', batch.mpid], ['mp_deviceid', batch.mp_deviceid], ...devices]
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([kind, value]) => ({ kind, value: plain(value) }));
}

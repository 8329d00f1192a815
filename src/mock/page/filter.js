// Applies a filter to a request. Pure functions, without access to the DOM.

export const EVERYTHING = { text: '', type: '', violations: false };

export function isActive(filter) {
  return filter.text !== '' || filter.type !== '' || filter.violations;
}

/**
 * Returns the matching batches and events of `request` as `[{ batch, events }]`, or null if there is no match. Without a filter
 * everything matches; a request without batches then results in an empty list.
 */
export function select(request, filter) {
  const wanted = filter.text.toLowerCase();
  const says = (text) => text.toLowerCase().includes(wanted);
  const broken = (place) => !filter.violations || place.violations.length > 0;

  const selection = [];
  for (const batch of request.batches) {
    const user =
      batch.user === null ? says('no identity') : [batch.user, ...batch.others].some(({ value }) => says(value));
    const events = batch.events.filter((event) => {
      const typed = filter.type === '' || event.type === filter.type;
      return typed && (user || says(event.name) || says(event.type)) && broken(event);
    });
    if (events.length > 0 || (user && filter.type === '' && broken(batch))) selection.push({ batch, events });
  }
  const itself = filter.type === '' && says(request.text ?? request.path) && broken(request);
  return selection.length > 0 || itself ? selection : null;
}

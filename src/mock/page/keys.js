// Single-key shortcuts. They can be switched off, because speech input triggers them by accident.

import { byId } from './dom.js';

/** Installs the shortcuts. `actions` maps keys to functions. */
export function listen(actions) {
  const dialog = byId('shortcuts');
  const all = { ...actions, '?': () => dialog.showModal() };
  byId('help').addEventListener('click', all['?']);
  byId('shortcuts-close').addEventListener('click', () => dialog.close());
  document.addEventListener('keydown', (event) => {
    const typing = event.target.matches?.('input:not([type=checkbox]), select, textarea');
    if (typing || event.ctrlKey || event.altKey || event.metaKey || dialog.open || !byId('shortcuts-on').checked)
      return;
    const action = Object.hasOwn(all, event.key.toLowerCase()) ? all[event.key.toLowerCase()] : null;
    if (action === null) return;
    event.preventDefault();
    action();
  });
}

/** Moves the focus to the next (1) or previous (-1) event of the stream. */
export function stepEvent(direction) {
  const events = [...document.querySelectorAll('#requests .event > summary')];
  const here = document.activeElement;
  const at = events.indexOf(here);
  const behind = (summary) => here.compareDocumentPosition(summary) & Node.DOCUMENT_POSITION_FOLLOWING;
  // If the focus is not on an event: the first event after the focus, or the last one before it.
  const first = here === document.body ? 0 : events.findIndex(behind);
  const next = at >= 0 ? at + direction : direction > 0 ? Math.max(first, 0) : first - 1;
  events[next]?.focus();
}

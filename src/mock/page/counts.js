// The header of the page: statistics, rate limit, mode, and the state of the connection.

import { byId } from './dom.js';

const COUNTS = ['requests', 'batches', 'events', 'refused', 'duplicates', 'ignored'];
const STATES = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting' };

export function showCounts(counts) {
  for (const name of COUNTS) {
    const cell = byId(`count-${name}`);
    cell.textContent = (counts[name] ?? 0).toLocaleString();
    cell.classList.toggle('raised', name === 'refused' && counts[name] > 0);
  }
  const used = counts.rate_used ?? null;
  if (used === null) return;
  byId('rate').value = Math.min(used, 100);
  byId('rate-text').textContent = `${Math.round(used)} %`;
}

export function showHello({ mode, partial_responses: partial, rate }) {
  const badge = byId('mode');
  badge.textContent = partial ? `${mode} mode, partial responses` : `${mode} mode`;
  badge.hidden = false;
  byId('rate').hidden = rate === null;
  byId('rate-label').textContent = rate === null ? 'Rate used' : `Rate used of ${rate}/s`;
  byId('rate-text').textContent = rate === null ? 'no limit' : '0 %';
}

export function showState(state) {
  const badge = byId('connection');
  badge.dataset.state = state;
  badge.textContent = STATES[state];
}

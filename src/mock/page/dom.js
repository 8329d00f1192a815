// Creates elements. Text is inserted only as text nodes, so that received data cannot become markup.

/** Creates an element with attributes and children. Children are nodes or strings; null is skipped. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

/**
 * Appends the first `step` items to `list`, followed by a button that appends the next ones, so that a large request does not
 * flood the document.
 */
export function growing(list, items, step, render, noun) {
  const holder = element('div', { class: 'growing' }, list);
  const button = element('button', { type: 'button', class: 'more' });
  let next = 0;
  const grow = () => {
    const added = items.slice(next, next + step).map(render);
    list.append(...added);
    next += added.length;
    const left = items.length - next;
    button.textContent =
      left > step ? `Show ${step} of ${left.toLocaleString()} more ${noun}` : `Show ${left} more ${noun}`;
    if (left === 0) button.remove();
    return added[0];
  };
  if (items.length > step) holder.append(button);
  grow();
  button.addEventListener('click', () => {
    const first = grow();
    // The button may have been removed: moves the focus to the first new item.
    if (!button.isConnected) first?.querySelector('summary, button')?.focus();
  });
  return holder;
}

/** Returns a button that copies the result of `text`, or null if the browser provides no clipboard. */
export function copyButton(text, name) {
  if (!navigator.clipboard) return null;
  const button = element('button', { type: 'button', class: 'copy' }, name);
  wireCopy(button, text);
  return button;
}

/** Makes `button` copy the result of `text` and confirm it. */
export function wireCopy(button, text) {
  const name = button.textContent;
  const say = (word) => {
    button.textContent = word;
    setTimeout(() => (button.textContent = name), 1500);
  };
  button.addEventListener('click', () =>
    navigator.clipboard.writeText(text()).then(
      () => say('Copied'),
      () => say('Not copied'),
    ),
  );
}

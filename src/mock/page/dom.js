// Makes elements. Text goes in as text nodes alone, so that nothing received can become markup.

/** An element with attributes and children; children are nodes or strings, and null ones are left out. */
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
 * Appends the first `step` items to `list`, and behind it a button that appends the next ones: however much arrives in
 * one request, what is in the document stays bounded until a person asks for more.
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
    // The button may be gone: the focus goes on to what it brought.
    if (!button.isConnected) first?.querySelector('summary, button')?.focus();
  });
  return holder;
}

/** A button that copies what `text` gives, or null where the browser has no clipboard for this page. */
export function copyButton(text, name) {
  if (!navigator.clipboard) return null;
  const button = element('button', { type: 'button', class: 'copy' }, name);
  wireCopy(button, text);
  return button;
}

/** Lets `button` copy what `text` gives, and say so. */
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

// Exact JSON: numbers keep their digits. Values are written as lines with JSON pointers.

/** A number whose digits JSON.parse would change, such as 9223372036854775807 or 19.90. */
class Exact {
  constructor(source) {
    this.source = source;
  }
}

/** The depth from which values are written as an ellipsis. */
const MAX_DEPTH = 100;

/** True if JSON.parse of this browser provides the source text of numbers. */
export const hasNumberSource = (() => {
  let hasSource = false;
  JSON.parse('1', (_key, value, context) => ((hasSource = context?.source === '1'), value));
  return hasSource;
})();

/** Parses exact JSON. Throws the errors of JSON.parse. */
export function parse(text) {
  return JSON.parse(text, (_key, value, context) => {
    const changed = typeof value === 'number' && context?.source !== undefined && String(value) !== context.source;
    return changed ? new Exact(context.source) : value;
  });
}

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Exact);
}

/** Returns a string without quotes, and any other value as JSON. */
export function plain(value) {
  return typeof value === 'string' ? value : write(value);
}

/** Returns a value as indented JSON. */
export function write(value) {
  return [...lines(value)]
    .map(({ depth, tokens }) => '  '.repeat(depth) + tokens.map(([, text]) => text).join(''))
    .join('\n');
}

/** Returns the unescaped steps of a JSON pointer. */
export function steps(pointer) {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/**
 * Yields the lines of a value: `depth`, the `pointer` of the value that begins on the line (null on a closing line), and `tokens`
 * as pairs of kind and text. Lazy, because often only the first lines are needed.
 */
export function* lines(value, pointer = '', depth = 0, before = [], after = []) {
  const open = Array.isArray(value) ? '[' : isObject(value) ? '{' : null;
  if (open === null) {
    yield { depth, pointer, tokens: [...before, scalar(value), ...after] };
    return;
  }
  const close = open === '[' ? ']' : '}';
  const keys = Object.keys(value);
  if (keys.length === 0 || depth >= MAX_DEPTH) {
    const inside = keys.length === 0 ? '' : '…';
    yield { depth, pointer, tokens: [...before, ['mark', open + inside + close], ...after] };
    return;
  }
  yield { depth, pointer, tokens: [...before, ['mark', open]] };
  for (const [place, key] of keys.entries()) {
    const name =
      open === '{'
        ? [
            ['key', JSON.stringify(key)],
            ['mark', ': '],
          ]
        : [];
    const comma = place + 1 < keys.length ? [['mark', ',']] : [];
    const below = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    yield* lines(value[key], below, depth + 1, name, comma);
  }
  yield { depth, pointer: null, tokens: [['mark', close], ...after] };
}

function scalar(value) {
  if (value instanceof Exact) return ['number', value.source];
  return [value === null || typeof value === 'boolean' ? 'word' : typeof value, JSON.stringify(value)];
}

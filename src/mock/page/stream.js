// The server's stream: one connection, opened again whenever it ends, and afresh when the server is a new one.

/** How long to wait, in ms, when the browser has given a connection up. */
const REOPEN_MS = 2000;

/**
 * Opens the stream. `on` has `state(name)`, `hello(data)`, `restart()`, `request(text)`, `gap(missed)`, `counts(data)`.
 * Each request is told once, however often the connection broke.
 */
export function open(on) {
  let session = null;
  let last = 0;
  let source;

  const connect = () => {
    source?.close();
    source = new EventSource('/page/stream');
    source.addEventListener('error', () => {
      on.state('reconnecting');
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, REOPEN_MS);
    });
    source.addEventListener('hello', ({ data }) => hello(JSON.parse(data)));
    source.addEventListener('counts', ({ data }) => on.counts(JSON.parse(data)));
    source.addEventListener('gap', ({ data }) => on.gap(JSON.parse(data).missed));
    source.addEventListener('request', ({ data, lastEventId }) => {
      const number = Number(lastEventId);
      if (number <= last) return;
      last = number;
      on.request(data);
    });
  };

  const hello = (data) => {
    const known = session;
    session = data.session;
    if (known !== null && known !== session) {
      // A new server counts from 1 again. It was asked to go on behind a number of the old one, so it is asked anew.
      last = 0;
      on.restart();
      connect();
      return;
    }
    on.hello(data);
    on.state('live');
  };

  connect();
}

// The event stream of the server. Reconnects when the connection ends, and starts over when the server has restarted.

/** The delay before a new connection when the browser does not reconnect by itself, in ms. */
const REOPEN_MS = 2000;

/**
 * Opens the stream. `on` has `state(name)`, `hello(data)`, `restart()`, `request(text)`, `gap(missed)`, `counts(data)`.
 * Reports each request once, even after reconnections.
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
      // A new server counts from 1, but was asked to resume after a number of the old server, so the stream is reopened.
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

/** Shown instead of everything when the server refuses this browser. */
export function Denied({ status }: { status: 401 | 403 }) {
  return (
    <main className="denied">
      <h1>
        {status === 401 ? 'Please sign in with your link' : 'This page may not be used from here'}
      </h1>
      {status === 401 ? (
        <p>
          This dashboard is guarded by a token. Open the URL that the command printed when it
          started: it ends in <code>?token=…</code> and signs this browser in.
        </p>
      ) : (
        <p>
          Gillnet answers only under the address that it printed, and only to its own page. Open the
          URL that the command printed when it started, and not another name of the same machine.
        </p>
      )}
      <p>
        The address is in the terminal where <code>gillnet</code> runs.{' '}
        <button type="button" onClick={() => window.location.reload()}>
          Try again
        </button>
      </p>
    </main>
  );
}

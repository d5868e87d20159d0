import { api } from './api/client';
import { useApp } from './app-state';

const CALM_MS = 3_000;
/** While a recording is being read, its progress is news. */
const BUSY_MS = 700;

/** Asks for the status again and again until it is stopped; hidden pages ask rarely. */
export function pollStatus(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  const ask = async () => {
    try {
      const status = await api.status();
      if (!stopped) useApp.getState().learn(status);
    } catch {
      if (!stopped) useApp.setState({ unreachable: true });
    }
    if (stopped) return;
    const { status, unreachable } = useApp.getState();
    const busy = unreachable || (status?.progress && !status.progress.finished);
    timer = setTimeout(() => void ask(), busy && !document.hidden ? BUSY_MS : CALM_MS);
  };
  void ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

import { useEffect, useRef, useState } from 'react';
import { type StatsRequest, api } from '../api/client';
import type { Stats } from '../api/types';

export interface Asked {
  /** The newest answer, also while another one is on its way. */
  stats: Stats | null;
  /** The question that it answers. */
  request: StatsRequest | null;
  busy: boolean;
  failure: string | null;
  retry: () => void;
}

/** Time between two questions while entries come. */
const AGAIN_MS = 3_000;

/**
 * Asks for statistics, anew when the question changes, which calls off the one before, and with
 * `follows` again and again. Without a question it does nothing.
 */
export function useStats(request: StatsRequest | null, follows: boolean): Asked {
  const [answer, setAnswer] = useState<Pick<Asked, 'stats' | 'request'>>(NONE);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  const key = request && JSON.stringify(request);
  const latest = useRef(request);
  useEffect(() => {
    latest.current = request;
  });
  useEffect(() => {
    const asked = latest.current;
    if (!asked) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      setBusy(true);
      try {
        for await (const stats of api.stats(asked, abort.signal)) {
          if (abort.signal.aborted) return;
          setAnswer({ stats, request: asked });
        }
        setFailure(null);
      } catch (error) {
        if (abort.signal.aborted) return;
        setFailure(error instanceof Error ? error.message : String(error));
      }
      if (abort.signal.aborted) return;
      setBusy(false);
      if (follows) wait();
    };
    const wait = () => {
      timer = setTimeout(() => (document.hidden ? wait() : void ask()), AGAIN_MS);
    };
    setFailure(null);
    void ask();
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key, follows, attempt]);
  return { ...answer, busy, failure, retry: () => setAttempt(attempt + 1) };
}

const NONE = { stats: null, request: null };

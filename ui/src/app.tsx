import { Suspense, lazy, useCallback, useEffect, useMemo, useRef } from 'react';
import { DETAIL_TABS, followAddress, useApp, useFollows } from './app-state';
import { onDenied } from './api/client';
import { isControl, isTyping } from './common/keys';
import { Split } from './common/splitter';
import { DetailPane } from './detail/pane';
import { LiveSource, PagedSource, type Source } from './entries/feed';
import { EntryList } from './entries/list';
import { EmptyState, Footer, Notice } from './entries/state';
import { EntryStore } from './entries/store';
import { useStore } from './entries/use-view';
import { FilterBar } from './filter/bar';
import { Denied } from './header/denied';
import { Header } from './header/header';
import { HelpDialog } from './header/help';
import { Toolbar } from './header/toolbar';
import { pollStatus } from './status';
import { Timeline } from './timeline/timeline';
import { TopValues } from './top/top-values';

export function App() {
  const denied = useApp((state) => state.denied);
  useEffect(() => {
    onDenied((status) => useApp.setState({ denied: status }));
    return followAddress();
  }, []);
  return denied ? <Denied status={denied} /> : <Dashboard />;
}

function Dashboard() {
  const store = useMemo(() => new EntryStore(), []);
  const source = useSource(store);
  const help = useRef<HTMLDialogElement>(null);
  useGlobalKeys(help);
  useEffect(pollStatus, []);
  useStore(store);
  const { feed } = store;

  const kfl = useApp((state) => state.kfl);
  const entry = useApp((state) => state.entry);
  const dock = useApp((state) => state.dock);
  const status = useApp((state) => state.status);
  const unreachable = useApp((state) => state.unreachable);
  const shown = !status && unreachable ? NOT_THERE : feed;
  const retry = () => source.current?.retry();
  const live = useFollows();
  const view = useApp((state) => state.view);
  const more = useCallback(() => source.current?.more(), [source]);
  const paused = useApp((state) => state.paused);
  useEffect(() => store.pause(paused), [store, paused]);

  return (
    <>
      <Header feed={feed} help={() => help.current?.showModal()} />
      <FilterBar refused={feed.phase === 'invalid' ? feed.error : null} />
      <Timeline />
      <Toolbar store={store} retry={retry} />
      <main>
        <Split
          along={dock}
          first={
            view === 'entries' ? (
              <EntryList
                store={store}
                live={live}
                more={feed.phase === 'open' && !live}
                onEnd={more}
                empty={<EmptyState feed={shown} status={status} kfl={kfl} retry={retry} />}
                footer={<Footer feed={feed} retry={retry} />}
              />
            ) : (
              <Suspense fallback={<Notice busy title="Loading…" />}>
                {view === 'services' ? <Services /> : <ServiceMap />}
              </Suspense>
            )
          }
          second={entry && <DetailPane entryRef={entry} />}
        />
      </main>
      <HelpDialog dialog={help} />
      <TopValues />
      <Toast />
    </>
  );
}

const NOT_THERE = {
  phase: 'reconnecting',
  attempt: 1,
  message: 'Gillnet does not answer.',
} as const;

const Services = lazy(() => import('./services/services'));
const ServiceMap = lazy(() => import('./map/map'));

/** Runs the source that fills the list, anew whenever the question changes. */
function useSource(store: EntryStore) {
  const mode = useApp((state) => state.status?.mode);
  const kfl = useApp((state) => state.kfl);
  const lang = useApp((state) => state.lang);
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const order = useApp((state) => state.order);
  const follows = useFollows();
  const current = useRef<Source | null>(null);
  useEffect(() => {
    if (!mode) return;
    const question = { kfl, lang, since, until, order };
    const source = follows ? new LiveSource(store, question) : new PagedSource(store, question);
    current.current = source;
    source.start();
    return () => source.stop();
  }, [store, mode, follows, kfl, lang, since, until, order]);

  const progress = useApp((state) => state.status?.progress);
  const known = useRef(progress);
  useEffect(() => {
    const before = known.current;
    known.current = progress;
    if (!before || !progress || !(current.current instanceof PagedSource)) return;
    const grew = before.done !== progress.done || before.finished !== progress.finished;
    if (grew) current.current.refresh(progress.finished);
  }, [progress]);
  return current;
}

function useGlobalKeys(help: React.RefObject<HTMLDialogElement | null>): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector('dialog[open]')) return;
      const app = useApp.getState();
      const tab = (step: number) => {
        const next = DETAIL_TABS[DETAIL_TABS.indexOf(app.tab) + step];
        if (next) app.setTab(next);
      };
      switch (event.key) {
        case '/':
          document.querySelector<HTMLElement>('.filter-editor .cm-content')?.focus();
          break;
        case ' ':
          if (isControl(event.target) || app.status?.mode !== 'live') return;
          app.togglePause();
          break;
        case 'Escape':
          if (!app.entry) return;
          app.open(null);
          document.querySelector<HTMLElement>('.list-scroll')?.focus();
          break;
        case '[':
          tab(-1);
          break;
        case ']':
          tab(1);
          break;
        case '?':
          help.current?.showModal();
          break;
        default:
          return;
      }
      event.preventDefault();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [help]);
}

const TOAST_MS = 2_500;

function Toast() {
  const toast = useApp((state) => state.toast);
  useEffect(() => {
    if (!toast) return;
    const timer = setTimeout(() => useApp.setState({ toast: null }), TOAST_MS);
    return () => clearTimeout(timer);
  }, [toast]);
  return (
    <div className="toast" role="status" data-shown={toast !== null || undefined}>
      {toast?.text}
    </div>
  );
}

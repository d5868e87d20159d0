import { create } from 'zustand';
import type { EntryRef, Lang, Order, Status } from './api/types';
import type { Zone } from './common/format';
import { type Saved, load, save } from './common/saved';
import { type Theme, applyTheme, savedTheme } from './common/theme';
import { type Place, type View, namesFilter, readPlace, writePlace } from './common/url';

export type Dock = 'bottom' | 'right';
export type DetailTab = 'exchange' | 'connection' | 'json';
export const DETAIL_TABS: readonly DetailTab[] = ['exchange', 'connection', 'json'];

interface Toast {
  text: string;
  serial: number;
}

/** All state of the page but the rows themselves, which live in an `EntryStore`. */
export interface AppState {
  /** The applied filter. */
  kfl: string;
  lang: Lang | undefined;
  /** The span of time that is shown, where not all is: RFC 3339. */
  since: string | undefined;
  until: string | undefined;
  view: View;
  order: Order;
  /** The entry whose details are open. */
  entry: EntryRef | null;
  paused: boolean;
  tab: DetailTab;
  dock: Dock;
  zone: Zone;
  theme: Theme;
  /** The server refused this browser. */
  denied: 401 | 403 | null;
  status: Status | null;
  /** When that status came: milliseconds since 1970. */
  statusAt: number;
  /** The last question for the status was not answered. */
  unreachable: boolean;
  /** The language that the server took the applied filter for. */
  detected: Lang | null;
  /** A filter that a click made, for the filter line to take and apply. */
  proposal: { text: string } | null;
  /** The field whose most frequent values are shown; empty while none is chosen. */
  top: string | null;
  toast: Toast | null;

  /** Takes a status; with the first one comes the filter to start with. */
  learn(status: Status): void;
  applyFilter(kfl: string, lang?: Lang): void;
  /** Shows only what began in a span of time, or without one all. */
  setRange(since?: string, until?: string): void;
  setView(view: View): void;
  setOrder(order: Order): void;
  open(entry: EntryRef | null): void;
  propose(kfl: string): void;
  togglePause(): void;
  setTab(tab: DetailTab): void;
  setDock(dock: Dock): void;
  setZone(zone: Zone): void;
  setTheme(theme: Theme): void;
  say(text: string): void;
}

const DOCK: Saved<Dock> = {
  key: 'gillnet.dock',
  check: (value): value is Dock => value === 'bottom' || value === 'right',
  fallback: 'bottom',
};
const ZONE: Saved<Zone> = {
  key: 'gillnet.zone',
  check: (value): value is Zone => value === 'local' || value === 'utc',
  fallback: 'local',
};

const place = readPlace(window.location.search);

export const useApp = create<AppState>()((set) => ({
  kfl: place.kfl,
  lang: place.lang,
  since: place.since,
  until: place.until,
  view: place.view,
  order: place.order,
  entry: place.entry,
  paused: false,
  tab: 'exchange',
  dock: load(DOCK),
  zone: load(ZONE),
  theme: savedTheme(),
  denied: null,
  status: null,
  statusAt: 0,
  unreachable: false,
  detected: null,
  proposal: null,
  top: null,
  toast: null,

  learn: (status) => {
    const { status: known, kfl } = useApp.getState();
    const start = known === null && kfl === '' && !namesFilter(window.location.search);
    const news = { status, statusAt: Date.now(), unreachable: false };
    set(start ? { ...news, kfl: status.defaultFilter } : news);
    if (start && status.defaultFilter !== '') goTo('replace');
  },
  applyFilter: (kfl, lang) => {
    set({ kfl, lang, paused: false });
    goTo('push');
  },
  setRange: (since, until) => {
    set({ since, until, paused: false });
    goTo('push');
  },
  setView: (view) => {
    set({ view });
    goTo('push');
  },
  setOrder: (order) => {
    set({ order });
    goTo('replace');
  },
  open: (entry) => {
    set({ entry });
    goTo('replace');
  },
  propose: (text) => set({ proposal: { text } }),
  togglePause: () => set(({ paused }) => ({ paused: !paused })),
  setTab: (tab) => set({ tab }),
  setDock: (dock) => {
    save(DOCK, dock);
    set({ dock });
  },
  setZone: (zone) => {
    save(ZONE, zone);
    set({ zone });
  },
  setTheme: (theme) => {
    applyTheme(theme);
    set({ theme });
  },
  say: (text) => set(({ toast }) => ({ toast: { text, serial: (toast?.serial ?? 0) + 1 } })),
}));

/** Whether the list shows entries as they come: not those of a recording, nor of a span of time. */
export function useFollows(): boolean {
  return useApp(({ status, since, until }) => {
    return status?.mode !== 'recorded' && since === undefined && until === undefined;
  });
}

function currentPlace(): Place {
  const { kfl, lang, since, until, view, order, entry } = useApp.getState();
  return { kfl, lang, since, until, view, order, entry };
}

function goTo(how: 'push' | 'replace'): void {
  const url = window.location.pathname + writePlace(currentPlace());
  if (how === 'push') window.history.pushState(null, '', url);
  else window.history.replaceState(null, '', url);
}

/** Keeps address and state together; also takes the token out of the address. */
export function followAddress(): () => void {
  goTo('replace');
  const back = () => useApp.setState(readPlace(window.location.search));
  window.addEventListener('popstate', back);
  return () => window.removeEventListener('popstate', back);
}

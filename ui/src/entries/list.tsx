import { useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { EntryRef, Row } from '../api/types';
import { useApp } from '../app-state';
import { formatCount } from '../common/format';
import { ArrowDown } from '../common/icons';
import { isControl, isTyping } from '../common/keys';
import { COLUMNS, EntryRow, ROW_HEIGHT } from './row';
import { type EntryStore, type View, rowKey, rowRef } from './store';
import { useView } from './use-view';

interface Props {
  store: EntryStore;
  live: boolean;
  /** There is a further page of a recording to ask for. */
  more: boolean;
  onEnd: () => void;
  /** Shown in place of rows, or below the last one. */
  empty: ReactNode;
  footer: ReactNode;
}

/** Rows from the end at which the next page is asked for. */
const AHEAD = 60;
const POOL_STEP = 16;

export function EntryList({ store, live, more, onEnd, empty, footer }: Props) {
  const paused = useApp((state) => state.paused);
  const entry = useApp((state) => state.entry);
  const zone = useApp((state) => state.zone);
  const view = useView(store);
  const count = view.end - view.first;
  const scroller = useRef<HTMLDivElement>(null);
  const header = ROW_HEIGHT;

  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    getItemKey: (index) => view.first + index,
    overscan: 4,
    scrollMargin: header,
    scrollPaddingStart: header,
  });
  const tail = useTail(scroller, view, live && !paused);
  const { following, setFollowing, onScroll } = tail;
  // The effect after this render will move the scroller; the window has to be cut for that place.
  virtual.scrollOffset = tail.offset(virtual.scrollOffset ?? 0);
  const items = virtual.getVirtualItems();
  // Rows are keyed by their place in a pool: when the list runs, elements are filled anew instead
  // of being made and thrown away. The pool is larger than the window and seldom changes its size.
  const pool = Math.ceil((items.length + 1) / POOL_STEP) * POOL_STEP;
  const last = items[items.length - 1]?.index ?? 0;
  useEffect(() => {
    if (more && count > 0 && last >= count - AHEAD) onEnd();
  }, [more, count, last, onEnd]);

  const { seq: currentSeq, setCursor } = useCursor(store, entry);
  const scrollTo = useCallback(
    (seq: number) => virtual.scrollToIndex(seq - view.first, { align: 'auto' }),
    [virtual, view],
  );
  const pick = useCallback(
    (row: Row) => {
      setFollowing(false);
      setCursor(row);
      useApp.getState().open(rowRef(row));
    },
    [setCursor, setFollowing],
  );
  useListKeys({ view, seq: currentSeq, setCursor, pick, scrollTo, setFollowing, scroller });

  const openKey = entry && rowKey(entry);
  return (
    <div className="list">
      <div
        className="list-scroll"
        role="grid"
        aria-label="Entries"
        aria-rowcount={count + 1}
        aria-colcount={COLUMNS.length}
        aria-activedescendant={
          currentSeq !== undefined && items.some((item) => item.key === currentSeq)
            ? `row-${currentSeq}`
            : undefined
        }
        tabIndex={0}
        ref={scroller}
        data-dates={!live || undefined}
        onScroll={onScroll}
      >
        <div role="rowgroup" className="list-header">
          <div role="row" aria-rowindex={1} className="row">
            {COLUMNS.map(({ name, label }) => (
              <div role="columnheader" className={`c-${name}`} key={name}>
                {label}
              </div>
            ))}
          </div>
        </div>
        {count > 0 && (
          <div
            role="rowgroup"
            className="list-body"
            style={{ height: virtual.getTotalSize() }}
            data-testid="rows"
          >
            {items.map((item) => {
              const seq = view.first + item.index;
              const row = view.at(seq);
              return (
                row && (
                  <EntryRow
                    key={seq % pool}
                    row={row}
                    id={`row-${seq}`}
                    rowIndex={item.index + 2}
                    top={item.start - header}
                    current={seq === currentSeq}
                    open={openKey !== null && rowKey(row) === openKey}
                    zone={zone}
                    withDate={!live}
                    onPick={pick}
                  />
                )
              );
            })}
          </div>
        )}
      </div>
      {count === 0 && empty}
      {count > 0 && footer}
      {live && !paused && !following.on && count > 0 && (
        <button type="button" className="jump" onClick={() => setFollowing(true)}>
          <ArrowDown /> Jump to latest
          {view.end > following.since && (
            <span className="dim"> {formatCount(view.end - following.since)} new</span>
          )}
        </button>
      )}
    </div>
  );
}

function pageRows(element: HTMLElement | null): number {
  return Math.max(1, Math.floor((element?.clientHeight ?? 0) / ROW_HEIGHT) - 2);
}

/**
 * Keeps the newest row in sight until the reader scrolls up, and then keeps what he reads in place
 * while old rows leave at the top.
 */
function useTail(scroller: React.RefObject<HTMLDivElement | null>, view: View, live: boolean) {
  const [following, setState] = useState({ on: true, since: 0 });
  // Read where a render may still have the older state: a scroll event between two frames.
  const on = useRef(true);
  const shown = useRef(view);
  /** Sizes at the last visit; `bottom` is the lowest pixel that could be seen then. */
  const last = useRef({ top: 0, scroll: 0, client: 0 });

  const setFollowing = useCallback((to: boolean) => {
    on.current = to;
    // To follow is to be taken to the end from wherever the reader stands.
    if (to) last.current.scroll = 0;
    setState((old) => (old.on === to ? old : { on: to, since: shown.current.end }));
  }, []);

  /** Whether the reader has left the end since the last visit; a pane that changed size has not. */
  const leftEnd = (element: HTMLElement) => {
    const client = Math.max(element.clientHeight, last.current.client);
    return element.scrollTop + client < last.current.scroll - ROW_HEIGHT;
  };
  const visit = (element: HTMLElement) => {
    last.current = {
      top: element.scrollTop,
      scroll: element.scrollHeight,
      client: element.clientHeight,
    };
  };

  useLayoutEffect(() => {
    const element = scroller.current;
    const before = shown.current;
    shown.current = view;
    if (!element) return;
    const renewed = before.generation !== view.generation;
    if (renewed) setFollowing(true);
    if (live && on.current && !renewed && leftEnd(element)) setFollowing(false);
    if (live && on.current) {
      element.scrollTop = element.scrollHeight;
    } else if (!renewed && view.first > before.first) {
      element.scrollTop -= (view.first - before.first) * ROW_HEIGHT;
    }
    visit(element);
  }, [scroller, view, live, following.on, setFollowing]);

  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    if (!live) {
      visit(element);
      return;
    }
    const { scrollTop, scrollHeight, clientHeight } = element;
    if (on.current && leftEnd(element)) setFollowing(false);
    else if (scrollHeight - scrollTop - clientHeight < ROW_HEIGHT) setFollowing(true);
    visit(element);
  }, [scroller, live, setFollowing]);

  /** Where the scroller will stand once this view is on the screen. */
  const offset = (now: number): number => {
    const { top, client } = last.current;
    const before = shown.current;
    if (client === 0 || before.generation !== view.generation) return now;
    if (live && on.current) {
      return Math.max(0, (view.end - view.first + 1) * ROW_HEIGHT - client);
    }
    const gone = view.first - before.first;
    return gone > 0 ? Math.max(0, top - gone * ROW_HEIGHT) : now;
  };

  return { following, setFollowing, onScroll, offset };
}

/** The row that the keyboard stands on: the open one, else the one last moved to. */
function useCursor(store: EntryStore, entry: EntryRef | null) {
  const [moved, setMoved] = useState<EntryRef | null>(null);
  const target = entry ?? moved;
  const setCursor = useCallback((row: Row) => setMoved(rowRef(row)), []);
  return { seq: target ? store.find(target) : undefined, setCursor };
}

interface KeyContext {
  view: View;
  seq: number | undefined;
  setCursor: (row: Row) => void;
  pick: (row: Row) => void;
  scrollTo: (seq: number) => void;
  setFollowing: (on: boolean) => void;
  scroller: React.RefObject<HTMLElement | null>;
}

/** The row that a key leads to. */
export function targetOf(key: string, view: View, seq: number | undefined, page: number) {
  const { first, end } = view;
  if (end === first) return undefined;
  const clamp = (to: number) => Math.min(Math.max(to, first), end - 1);
  switch (key) {
    case 'j':
    case 'ArrowDown':
      return seq === undefined ? first : clamp(seq + 1);
    case 'k':
    case 'ArrowUp':
      return seq === undefined ? end - 1 : clamp(seq - 1);
    case 'PageDown':
      return clamp((seq ?? first) + page);
    case 'PageUp':
      return clamp((seq ?? end - 1) - page);
    case 'g':
    case 'Home':
      return first;
    case 'G':
    case 'End':
      return end - 1;
    default:
      return undefined;
  }
}

function useListKeys(context: KeyContext): void {
  const { view, seq, setCursor, pick, scrollTo, setFollowing, scroller } = context;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === 'Enter') {
        const row = seq === undefined ? undefined : view.at(seq);
        if (!row || isControl(event.target)) return;
        event.preventDefault();
        pick(row);
        return;
      }
      const target = targetOf(event.key, view, seq, pageRows(scroller.current));
      const row = target === undefined ? undefined : view.at(target);
      if (target === undefined || !row) return;
      // Keys that scroll belong to the pane that has the focus.
      if (event.key.length > 1 && inScrollingPane(event.target)) return;
      event.preventDefault();
      if (useApp.getState().entry) pick(row);
      else setCursor(row);
      setFollowing(event.key === 'G' || event.key === 'End');
      scrollTo(target);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [view, seq, setCursor, pick, scrollTo, setFollowing, scroller]);
}

function inScrollingPane(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('.detail, .popover, dialog') !== null;
}

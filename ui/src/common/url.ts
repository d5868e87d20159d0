import type { EntryRef, Lang, Order } from '../api/types';

/** What stands where the list of entries is. */
export type View = 'entries' | 'services' | 'map';
export const VIEWS: readonly View[] = ['entries', 'services', 'map'];

/** What the address says, so that a link shows the same to whoever may open it. */
export interface Place {
  kfl: string;
  lang?: Lang;
  /** Only what began in this span of time: RFC 3339. */
  since?: string;
  until?: string;
  view: View;
  order: Order;
  entry: EntryRef | null;
}

export function readPlace(search: string): Place {
  const params = new URLSearchParams(search);
  const text = (name: string) => params.get(name) ?? undefined;
  const lang = text('lang');
  const id = text('entry');
  return {
    kfl: text('q') ?? '',
    lang: lang === 'kfl1' || lang === 'kfl2' ? lang : undefined,
    since: moment(text('since')),
    until: moment(text('until')),
    view: VIEWS.find((view) => view === text('view')) ?? 'entries',
    order: text('order') === 'desc' ? 'desc' : 'asc',
    entry: id ? { id, cluster: text('cluster'), node: text('node'), run: text('run') } : null,
  };
}

function moment(text: string | undefined): string | undefined {
  return text !== undefined && !Number.isNaN(Date.parse(text)) ? text : undefined;
}

/** Whether the address names a filter, an empty one included. */
export function namesFilter(search: string): boolean {
  return new URLSearchParams(search).has('q');
}

export function writePlace(place: Place): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string | undefined) => {
    if (value) params.set(name, value);
  };
  put('q', place.kfl);
  put('lang', place.lang);
  put('since', place.since);
  put('until', place.until);
  if (place.view !== 'entries') params.set('view', place.view);
  if (place.order === 'desc') params.set('order', 'desc');
  put('entry', place.entry?.id);
  put('cluster', place.entry?.cluster);
  put('node', place.entry?.node);
  put('run', place.entry?.run);
  const search = params.toString();
  return search === '' ? '' : `?${search}`;
}

import type { EntryRef, Lang, Order } from '../api/types';

/** What the address says, so that a link shows the same to whoever may open it. */
export interface Place {
  kfl: string;
  lang?: Lang;
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
    order: text('order') === 'desc' ? 'desc' : 'asc',
    entry: id ? { id, cluster: text('cluster'), node: text('node'), run: text('run') } : null,
  };
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
  if (place.order === 'desc') params.set('order', 'desc');
  put('entry', place.entry?.id);
  put('cluster', place.entry?.cluster);
  put('node', place.entry?.node);
  put('run', place.entry?.run);
  const search = params.toString();
  return search === '' ? '' : `?${search}`;
}

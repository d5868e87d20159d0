import { api } from '../api/client';
import type { Assistance, Lang } from '../api/types';

/** Asks the server about the text being typed; the same question twice is one request. */
export class Assistant {
  private last: { kfl: string; cursor: number; lang?: Lang; answer: Promise<Assistance> } | null =
    null;

  ask(kfl: string, cursor: number, lang?: Lang): Promise<Assistance> {
    const { last } = this;
    if (last?.kfl === kfl && last.cursor === cursor && last.lang === lang) return last.answer;
    const answer = api.complete(kfl, cursor, lang);
    const question = { kfl, cursor, lang, answer };
    this.last = question;
    answer.catch(() => {
      // A failed question may be asked again.
      if (this.last === question) this.last = null;
    });
    return answer;
  }
}

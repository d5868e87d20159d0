import type { EditorView } from '@codemirror/view';
import { useEffect, useRef, useState } from 'react';
import { ApiError, api } from '../api/client';
import type { Assistance, Diagnostic, ErrorBody } from '../api/types';
import { useApp } from '../app-state';
import { Close } from '../common/icons';
import { Assistant } from './assistant';
import { PLACEHOLDER, createEditor, setText, showMarks } from './editor';
import { FilterHistory } from './history';
import { FilterMessage } from './message';

/** Time without a keypress after which the server is asked about the text. */
const IDLE_MS = 80;

interface Verdict {
  errors: Diagnostic[];
  warnings: Diagnostic[];
  /** The check itself failed. */
  trouble: string | null;
}

const FINE: Verdict = { errors: [], warnings: [], trouble: null };

/**
 * The filter line. The draft is checked by the server while it is typed; Enter applies it when it
 * is valid, and until then the list keeps what the last valid one gave.
 */
class Controller {
  readonly assistant = new Assistant();
  readonly history = new FilterHistory();
  view: EditorView | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts texts, so that an answer to an older one is not shown. */
  private serial = 0;

  constructor(
    private readonly showText: (text: string) => void,
    private readonly showVerdict: (verdict: Verdict) => void,
  ) {}

  get text(): string {
    return this.view?.state.doc.toString() ?? '';
  }

  mount(parent: HTMLElement): () => void {
    this.view = createEditor(parent, useApp.getState().kfl, {
      changed: (text) => this.changed(text),
      submit: () => void this.apply(),
      revert: () => this.revert(),
      older: (text) => this.walk(1, text),
      newer: (text) => this.walk(-1, text),
      complete: async (text, cursor) => {
        try {
          const { lang } = useApp.getState();
          return (await this.assistant.ask(text, cursor, lang)).completions;
        } catch {
          return [];
        }
      },
    });
    this.check();
    return () => {
      clearTimeout(this.timer);
      this.serial += 1;
      this.view?.destroy();
      this.view = null;
    };
  }

  /** Puts a text into the line, without applying it. */
  put(text: string): void {
    if (this.view) setText(this.view, text);
  }

  async apply(): Promise<void> {
    const text = this.text.trim();
    const { lang, applyFilter } = useApp.getState();
    const serial = this.serial;
    try {
      const answer = await api.validate(text, lang);
      if (serial !== this.serial) return;
      this.showVerdict({ ...FINE, errors: answer.errors, warnings: answer.warnings });
      if (!answer.ok) return;
      this.history.remember(text);
      useApp.setState({ detected: answer.lang });
      applyFilter(text, lang);
    } catch (error) {
      if (serial === this.serial) this.showVerdict({ ...FINE, trouble: describe(error) });
    }
  }

  revert(): void {
    this.put(useApp.getState().kfl);
    this.view?.contentDOM.blur();
  }

  private walk(step: 1 | -1, text: string): string | null {
    const found = this.history.walk(step, text);
    this.walking = found !== null;
    return found;
  }
  private walking = false;

  private changed(text: string): void {
    if (!this.walking) this.history.typed();
    this.walking = false;
    this.serial += 1;
    this.showText(text);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), IDLE_MS);
  }

  private check(): void {
    const { view, serial } = this;
    if (!view) return;
    const cursor = view.state.selection.main.head;
    this.assistant.ask(this.text, cursor, useApp.getState().lang).then(
      (answer) => {
        if (serial === this.serial && this.view) this.show(answer);
      },
      (error: unknown) => {
        if (serial === this.serial) this.showVerdict({ ...FINE, trouble: describe(error) });
      },
    );
  }

  private show(answer: Assistance): void {
    if (this.view) showMarks(this.view, answer);
    this.showVerdict({ ...FINE, errors: answer.errors, warnings: answer.warnings });
    if (this.text.trim() === useApp.getState().kfl) useApp.setState({ detected: answer.lang });
  }
}

function describe(error: unknown): string {
  if (error instanceof ApiError) return `The filter cannot be checked: ${error.message}`;
  return 'The filter cannot be checked.';
}

/** `refused`: why the server did not take the applied filter. */
export function FilterBar({ refused }: { refused: ErrorBody | null }) {
  const kfl = useApp((state) => state.kfl);
  const proposal = useApp((state) => state.proposal);
  const [text, showText] = useState(kfl);
  const [verdict, showVerdict] = useState<Verdict>(FINE);
  const [controller] = useState(() => new Controller(showText, showVerdict));
  const parent = useRef<HTMLDivElement>(null);

  useEffect(() => (parent.current ? controller.mount(parent.current) : undefined), [controller]);
  // The filter changed elsewhere: the browser's back button, "clear filter".
  useEffect(() => controller.put(kfl), [controller, kfl]);
  useEffect(() => {
    if (!proposal) return;
    controller.put(proposal.text);
    void controller.apply();
  }, [controller, proposal]);

  const unapplied = text.trim() !== kfl;
  const errors = verdict.errors.length > 0 || unapplied ? verdict.errors : (refused?.errors ?? []);
  const trouble = verdict.trouble ?? (unapplied || errors.length > 0 ? null : refused?.message);
  const state = errors.length > 0 ? 'invalid' : unapplied ? 'draft' : 'applied';

  return (
    <div role="search" className="filter" data-state={state}>
      <div className="filter-line">
        <div className="filter-editor" data-testid="filter">
          {/* Outside the editable text: the browser copies the styles of what it edits, which the
              content security policy then blocks. */}
          {text === '' && (
            <span className="filter-placeholder" aria-hidden="true">
              {PLACEHOLDER}
            </span>
          )}
          <div ref={parent} />
        </div>
        {text !== '' && (
          <button
            type="button"
            className="ghost"
            aria-label="Clear filter"
            title="Clear filter"
            onClick={() => {
              controller.put('');
              void controller.apply();
            }}
          >
            <Close />
          </button>
        )}
        <button
          type="button"
          className="primary"
          disabled={!unapplied}
          onClick={() => void controller.apply()}
        >
          Apply
        </button>
      </div>
      <FilterMessage
        errors={errors}
        warnings={verdict.warnings}
        trouble={trouble ?? null}
        unapplied={unapplied}
        replace={({ offset, length }, name) => {
          const now = controller.text;
          controller.put(now.slice(0, offset) + name + now.slice(offset + length));
          controller.view?.focus();
        }}
      />
    </div>
  );
}

import {
  type CompletionContext,
  type CompletionResult,
  acceptCompletion,
  autocompletion,
  completionStatus,
  moveCompletionSelection,
  selectedCompletion,
} from '@codemirror/autocomplete';
import { history, historyKeymap, standardKeymap } from '@codemirror/commands';
import { EditorState, Prec, StateEffect, StateField, type Text } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, WidgetType, keymap } from '@codemirror/view';
import type { CompletionItem, Diagnostic, Token } from '../api/types';

/** Shown while the line is empty. */
export const PLACEHOLDER = 'Filter, e.g. http and response.status == 500';

/** What is drawn over the text: tokens as classes, diagnostics as squiggles. */
export interface Marks {
  tokens: readonly Token[];
  errors: readonly Diagnostic[];
  warnings: readonly Diagnostic[];
}

export interface EditorEvents {
  changed(text: string): void;
  submit(): void;
  revert(): void;
  /** The text to show instead, one step through the history; null: no further. */
  older(text: string): string | null;
  newer(text: string): string | null;
  complete(text: string, cursor: number): Promise<CompletionItem[]>;
}

const setMarks = StateEffect.define<Marks>();

/** Shows an error that points behind the last character. */
class EndMark extends WidgetType {
  constructor(private readonly kind: string) {
    super();
  }
  override eq(other: EndMark): boolean {
    return other.kind === this.kind;
  }
  toDOM(): HTMLElement {
    const mark = document.createElement('span');
    mark.className = `kfl-end ${this.kind}`;
    mark.textContent = ' ';
    mark.setAttribute('aria-hidden', 'true');
    return mark;
  }
}

function decorations(doc: Text, { tokens, errors, warnings }: Marks): DecorationSet {
  const ranges = [];
  const within = (offset: number, length: number) => {
    const from = Math.min(Math.max(offset, 0), doc.length);
    return { from, to: Math.min(from + Math.max(length, 0), doc.length) };
  };
  for (const token of tokens) {
    const { from, to } = within(token.offset, token.length);
    const name = token.class.replace(/[^a-z0-9-]/gi, '-');
    if (to > from) ranges.push(Decoration.mark({ class: `kfl-${name}` }).range(from, to));
  }
  const squiggle = (diagnostic: Diagnostic, kind: string) => {
    const { from, to } = within(diagnostic.offset, Math.max(diagnostic.length, 1));
    if (to > from) ranges.push(Decoration.mark({ class: kind }).range(from, to));
    else ranges.push(Decoration.widget({ widget: new EndMark(kind), side: 1 }).range(from));
  };
  for (const warning of warnings) squiggle(warning, 'kfl-warning-mark');
  for (const error of errors) squiggle(error, 'kfl-error-mark');
  return Decoration.set(ranges, true);
}

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, transaction) {
    let next = value.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setMarks)) next = decorations(transaction.state.doc, effect.value);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** A filter is one line: pasted line breaks become blanks. */
const oneLine = EditorState.transactionFilter.of((transaction) => {
  if (!transaction.docChanged || transaction.newDoc.lines === 1) return transaction;
  const flat = transaction.newDoc.toString().replace(/\s*\n\s*/g, ' ');
  return [
    {
      changes: { from: 0, to: transaction.startState.doc.length, insert: flat },
      selection: { anchor: Math.min(transaction.newSelection.main.head, flat.length) },
      userEvent: 'input.paste',
    },
  ];
});

function completionSource(events: EditorEvents) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const items = await events.complete(context.state.doc.toString(), context.pos);
    if (context.aborted || items.length === 0) return null;
    return {
      from: Math.min(...items.map((item) => item.from)),
      // The server has chosen and sorted them.
      filter: false,
      options: items.map((item, index) => ({
        label: item.label,
        detail: item.detail,
        info: item.doc || undefined,
        type: item.kind,
        boost: -index,
        apply: (view: EditorView) => insert(view, item),
      })),
    };
  };
}

function insert(view: EditorView, item: CompletionItem): void {
  const end = view.state.doc.length;
  const from = Math.min(item.from, end);
  view.dispatch({
    changes: { from, to: Math.min(Math.max(item.to, from), end), insert: item.insert },
    selection: { anchor: from + item.insert.length },
    userEvent: 'input.complete',
  });
}

function keys(events: EditorEvents) {
  const listOpen = (view: EditorView) => completionStatus(view.state) === 'active';
  const walk = (step: (text: string) => string | null) => (view: EditorView) => {
    if (listOpen(view)) return false;
    const text = step(view.state.doc.toString());
    if (text !== null) setText(view, text);
    return true;
  };
  return keymap.of([
    {
      key: 'Enter',
      run: (view) => {
        // Enter takes a completion only when one was chosen with the arrows.
        if (listOpen(view) && selectedCompletion(view.state)) return acceptCompletion(view);
        events.submit();
        return true;
      },
    },
    { key: 'Mod-Enter', run: () => (events.submit(), true) },
    {
      key: 'Tab',
      run: (view) => {
        if (!listOpen(view)) return false;
        if (!selectedCompletion(view.state)) moveCompletionSelection(true)(view);
        return acceptCompletion(view);
      },
    },
    {
      key: 'Escape',
      run: (view) => {
        if (listOpen(view)) return false;
        events.revert();
        return true;
      },
    },
    { key: 'ArrowUp', run: walk((text) => events.older(text)) },
    { key: 'ArrowDown', run: walk((text) => events.newer(text)) },
  ]);
}

export function setText(view: EditorView, text: string): void {
  if (view.state.doc.toString() === text) return;
  view.dispatch({
    changes: { from: 0, to: view.state.doc.length, insert: text },
    selection: { anchor: text.length },
    userEvent: 'filter.set',
  });
}

export function showMarks(view: EditorView, value: Marks): void {
  view.dispatch({ effects: setMarks.of(value) });
}

/** The nonce that the server allows styles for in this response. */
function cspNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
}

export function createEditor(parent: HTMLElement, text: string, events: EditorEvents): EditorView {
  return new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        EditorView.cspNonce.of(cspNonce()),
        EditorView.contentAttributes.of({
          'aria-label': 'Filter (KFL)',
          'aria-multiline': 'false',
          'aria-describedby': 'filter-message',
          'aria-placeholder': PLACEHOLDER,
          spellcheck: 'false',
          autocapitalize: 'off',
        }),
        // Above the completion's own keys, which would take Enter and the arrows first.
        Prec.highest(keys(events)),
        history(),
        keymap.of([...historyKeymap, ...standardKeymap]),
        oneLine,
        marks,
        autocompletion({
          override: [completionSource(events)],
          selectOnOpen: false,
          interactionDelay: 0,
          icons: false,
          activateOnTypingDelay: 120,
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) events.changed(update.state.doc.toString());
        }),
      ],
    }),
  });
}

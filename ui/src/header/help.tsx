import { type RefObject } from 'react';
import { Close } from '../common/icons';

const KEYS: [string, string][] = [
  ['/', 'Go to the filter'],
  ['Enter', 'Apply the filter; open the entry'],
  ['Esc', 'Revert the filter; close the details'],
  ['↑ ↓ (in the filter)', 'Earlier filters'],
  ['j k or ↑ ↓', 'Next, previous entry'],
  ['PgUp PgDn', 'A page up, down'],
  ['g G or Home End', 'First, last entry'],
  ['Space', 'Pause, resume'],
  ['[ ]', 'Previous, next tab of the details'],
  ['?', 'This list'],
];

export function HelpDialog({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  return (
    <dialog ref={dialog} className="help" aria-labelledby="help-title">
      <div className="help-head">
        <h2 id="help-title">Keyboard shortcuts</h2>
        <button
          type="button"
          className="ghost"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Close />
        </button>
      </div>
      <dl className="facts">
        {KEYS.map(([keys, meaning]) => (
          <div key={keys} className="help-line">
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}

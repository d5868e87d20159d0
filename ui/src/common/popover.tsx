import {
  type ReactNode,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';

interface Props {
  /** What the button shows; its accessible name is `label`. */
  button: ReactNode;
  label: string;
  className?: string;
  title?: string;
  children: (close: () => void) => ReactNode;
}

const GAP = 4;

/** Puts the panel below its button, above it where there is no room, and inside the window. */
function place(panel: HTMLElement, trigger: HTMLElement): void {
  const at = trigger.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = panel;
  const below = at.bottom + GAP;
  const top = below + height > window.innerHeight ? at.top - GAP - height : below;
  panel.style.top = `${Math.max(GAP, top)}px`;
  panel.style.left = `${Math.max(GAP, Math.min(at.left, window.innerWidth - width - 2 * GAP))}px`;
}

/** A button that opens a panel in the top layer; Escape, scrolling and a click elsewhere close it. */
export function Popover({ button, label, className, title, children }: Props) {
  const [open, setOpen] = useState(false);
  const trigger = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const id = useId();
  const close = useCallback(() => {
    setOpen(false);
    trigger.current?.focus();
  }, []);

  useLayoutEffect(() => {
    if (!open || !panel.current || !trigger.current) return;
    panel.current.showPopover();
    place(panel.current, trigger.current);
  }, [open]);

  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      const target = event.target as Node;
      if (!panel.current?.contains(target) && !trigger.current?.contains(target)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      close();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('wheel', outside, { passive: true });
    document.addEventListener('keydown', onKey, true);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('wheel', outside);
      document.removeEventListener('keydown', onKey, true);
    };
  }, [open, close]);

  return (
    <>
      <button
        type="button"
        ref={trigger}
        className={className}
        aria-label={label}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        title={title}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div
          className="popover-panel"
          ref={panel}
          id={id}
          popover="manual"
          role="group"
          aria-label={label}
        >
          {children(close)}
        </div>
      )}
    </>
  );
}

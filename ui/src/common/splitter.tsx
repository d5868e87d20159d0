import { type ReactNode, useRef, useState } from 'react';
import { type Saved, load, save } from './saved';

type Along = 'bottom' | 'right';

const MIN = 15;
const MAX = 85;
const STEP = 5;

function share(along: Along): Saved<number> {
  return {
    key: `gillnet.split.${along}`,
    check: (value): value is number => typeof value === 'number' && value >= MIN && value <= MAX,
    fallback: along === 'bottom' ? 55 : 45,
  };
}

interface Props {
  /** Where the second pane stands. */
  along: Along;
  first: ReactNode;
  /** No second pane: the first has all the room. */
  second: ReactNode;
}

/** Two panes with a border that can be moved by pointer and keyboard; remembers its place. */
export function Split({ along, first, second }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const [percent, setPercent] = useState(() => ({
    bottom: load(share('bottom')),
    right: load(share('right')),
  }));
  const move = (to: number) => {
    const value = Math.min(MAX, Math.max(MIN, Math.round(to)));
    setPercent((old) => ({ ...old, [along]: value }));
    save(share(along), value);
  };
  const drag = (event: React.PointerEvent<HTMLDivElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId) || !root.current) return;
    const box = root.current.getBoundingClientRect();
    move(
      along === 'bottom'
        ? ((box.bottom - event.clientY) / box.height) * 100
        : ((box.right - event.clientX) / box.width) * 100,
    );
  };
  const onKey = (event: React.KeyboardEvent) => {
    const [more, less] =
      along === 'bottom' ? ['ArrowUp', 'ArrowDown'] : ['ArrowLeft', 'ArrowRight'];
    if (event.key !== more && event.key !== less) return;
    event.preventDefault();
    event.stopPropagation();
    event.nativeEvent.stopImmediatePropagation();
    move(percent[along] + (event.key === more ? STEP : -STEP));
  };
  return (
    <div className="split" data-along={along} ref={root}>
      <div className="split-first">{first}</div>
      {second && (
        <>
          <div
            className="splitter"
            role="separator"
            aria-label="Size of the details"
            aria-orientation={along === 'bottom' ? 'horizontal' : 'vertical'}
            aria-valuenow={percent[along]}
            aria-valuemin={MIN}
            aria-valuemax={MAX}
            tabIndex={0}
            onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
            onPointerMove={drag}
            onKeyDown={onKey}
          />
          <div className="split-second" style={{ flexBasis: `${percent[along]}%` }}>
            {second}
          </div>
        </>
      )}
    </div>
  );
}

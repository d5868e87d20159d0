import type { ReactNode } from 'react';

function icon(paths: ReactNode) {
  return function Icon() {
    return (
      <svg
        className="icon"
        viewBox="0 0 16 16"
        width="16"
        height="16"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.4"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {paths}
      </svg>
    );
  };
}

export const Logo = icon(<path d="M3.5 3.5l9 9M12.5 3.5l-9 9M8 1.8L14.2 8 8 14.2 1.8 8z" />);
export const ArrowRight = icon(<path d="M3 8h10M9.5 4.5L13 8l-3.5 3.5" />);
export const ArrowDown = icon(<path d="M8 3v10M4.5 9.5L8 13l3.5-3.5" />);
export const ArrowUp = icon(<path d="M8 13V3M4.5 6.5L8 3l3.5 3.5" />);
export const Close = icon(<path d="M4 4l8 8M12 4l-8 8" />);
export const Pause = icon(<path d="M5.5 3.5v9M10.5 3.5v9" strokeWidth="2" />);
export const Play = icon(<path d="M5 3.2v9.6L12.5 8z" fill="currentColor" />);
export const Plus = icon(<path d="M8 3.5v9M3.5 8h9" />);
export const Copy = icon(
  <path d="M5.5 5.5V3.2c0-.4.3-.7.7-.7h6.6c.4 0 .7.3.7.7v6.6c0 .4-.3.7-.7.7h-2.3M3.2 5.5h6.6c.4 0 .7.3.7.7v6.6c0 .4-.3.7-.7.7H3.2a.7.7 0 0 1-.7-.7V6.2c0-.4.3-.7.7-.7z" />,
);
export const Download = icon(<path d="M8 2.5v7.5M4.8 7L8 10.2 11.2 7M3 13.5h10" />);
export const Warning = icon(<path d="M8 2.2L14.5 13.5h-13zM8 6.5v3.2M8 11.6v.1" />);
export const Sun = icon(
  <path d="M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9L13 13M13 3l-1.1 1.1M4.1 11.9L3 13" />,
);
export const Moon = icon(<path d="M13.5 9.6A6 6 0 1 1 6.4 2.5a4.8 4.8 0 0 0 7.1 7.1z" />);
export const Monitor = icon(<path d="M2 3h12v8H2zM6 13.5h4" />);
export const Help = icon(
  <path d="M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4zM6.2 6.2c0-1 .8-1.7 1.8-1.7s1.8.7 1.8 1.6c0 1.3-1.8 1.3-1.8 2.7M8 11.2v.1" />,
);
export const DockBottom = icon(<path d="M2 2.5h12v11H2zM2 9h12" />);
export const DockRight = icon(<path d="M2 2.5h12v11H2zM9 2.5v11" />);
export const Sort = icon(<path d="M5 3v10M2.5 10.5L5 13l2.5-2.5M11 13V3M8.5 5.5L11 3l2.5 2.5" />);

import { type Saved, load, save } from './saved';

export type Theme = 'light' | 'dark' | 'system';

const THEMES: Saved<Theme> = {
  key: 'gillnet.theme',
  check: (value): value is Theme => value === 'light' || value === 'dark' || value === 'system',
  fallback: 'system',
};

export function savedTheme(): Theme {
  return load(THEMES);
}

/** Colours are CSS variables below `html[data-theme]`; "system" leaves the choice to the media query. */
export function applyTheme(theme: Theme): void {
  save(THEMES, theme);
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

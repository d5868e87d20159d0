type Rgb = [number, number, number];

function parseHex(color: string): Rgb | null {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(color);
  const hex = short
    ? `#${short
        .slice(1)
        .map((digit) => digit + digit)
        .join('')}`
    : color;
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(hex);
  if (!match) return null;
  const [r, g, b] = match.slice(1).map((pair) => Number.parseInt(pair, 16));
  return [r ?? 0, g ?? 0, b ?? 0];
}

function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((byte) => {
    const c = byte / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2 contrast of two colours written `#rrggbb`; 1 when one cannot be read. */
export function contrast(a: string, b: string): number {
  const [x, y] = [parseHex(a), parseHex(b)];
  if (!x || !y) return 1;
  const [dark, light] = [luminance(x), luminance(y)].sort((p, q) => p - q) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const AA = 4.5;

/** The protocol's colours, with a text colour that can be read (WCAG AA) whatever was configured. */
export function tagColors(background: string, foreground: string): [string, string] {
  if (!parseHex(background)) return ['#57606a', '#ffffff'];
  if (contrast(background, foreground) >= AA) return [background, foreground];
  const white = contrast(background, '#ffffff') >= AA;
  return [background, white ? '#ffffff' : '#000000'];
}

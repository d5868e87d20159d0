import { describe, expect, it } from 'vitest';
import { contrast, tagColors } from './color';

describe('tagColors', () => {
  it('leaves colours that can be read', () => {
    expect(tagColors('#416CDE', '#ffffff')).toEqual(['#416CDE', '#ffffff']);
  });
  it.each(['#ff6600', '#ffd800', '#00c853', '#777', '#123456', '#808080'])(
    'finds a text colour for %s',
    (background) => {
      const [shown, text] = tagColors(background, background);
      expect(shown).toBe(background);
      expect(contrast(shown, text)).toBeGreaterThanOrEqual(4.5);
    },
  );
  it('replaces what is no colour', () => {
    const [background, text] = tagColors('red; position: fixed', 'x');
    expect(contrast(background, text)).toBeGreaterThanOrEqual(4.5);
  });
});

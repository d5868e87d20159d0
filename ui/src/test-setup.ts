import { cleanup } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

afterEach(() => {
  cleanup();
  localStorage.clear();
  vi.unstubAllGlobals();
});

// CodeMirror measures text, which this DOM does not lay out.
Range.prototype.getClientRects = () => [] as unknown as DOMRectList;
Range.prototype.getBoundingClientRect = () => new DOMRect();

// This DOM hides popovers but cannot show them.
HTMLElement.prototype.showPopover = function showPopover() {
  this.removeAttribute('popover');
};

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // Inlined data: URLs would need a wider content security policy than the server sends.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900, // `npm run check-size` holds the budget.
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` next to a running gillnet: GILLNET_API=http://127.0.0.1:8899
    proxy: process.env.GILLNET_API
      ? { '/api': { target: process.env.GILLNET_API, ws: true, changeOrigin: true } }
      : {},
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/test-setup.ts'],
    restoreMocks: true,
    // One DOM for all files of a worker: making one takes longer than the tests.
    pool: 'threads',
    isolate: false,
  },
});

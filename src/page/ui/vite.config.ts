import { join } from 'node:path';
import { defineConfig } from 'vite';

const checkout = join(import.meta.dirname, '../../..');

/**
 * Bundles the page into `dist/page/ui`: `index.html`, one script, one style sheet, and the licences
 * of what is bundled. Nothing is inline and nothing comes from elsewhere, so the strictest content
 * security policy fits. The names of assets carry a hash of what they hold: they may be cached for
 * ever.
 */
export default defineConfig({
  root: import.meta.dirname,
  base: '/page/',
  publicDir: false,
  cacheDir: join(checkout, 'node_modules/.cache/rlm-opencode-page'),
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: join(checkout, 'dist/page/ui'),
    emptyOutDir: true,
    target: 'es2023',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    license: { fileName: 'LICENSES.md' },
  },
});

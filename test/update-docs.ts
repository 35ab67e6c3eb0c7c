import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { freshClients } from './support/clients-table.ts';
import { freshReadme } from './support/readme.ts';

const generated = { 'README.md': freshReadme, 'docs/clients.md': freshClients };
for (const [name, fresh] of Object.entries(generated)) {
  const path = resolve(import.meta.dirname, '..', name);
  writeFileSync(path, fresh(readFileSync(path, 'utf8')));
}

import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { freshReadme } from './support/readme.ts';

const path = resolve(import.meta.dirname, '../README.md');
writeFileSync(path, freshReadme(readFileSync(path, 'utf8')));

import { expect, test } from 'vitest';
import { originOf } from './origin.ts';

test('directory and project are percent-decoded, and taken as they are where they are no encoding', () => {
  const said = (value: string) => originOf({ 'x-rlm-directory': value, 'x-rlm-project': value });
  expect(said('/w/%C3%BC')).toMatchObject({ directory: '/w/ü', project: '/w/ü' });
  expect(said('/w/100%')).toMatchObject({ directory: '/w/100%', project: '/w/100%' });
});

test('names of projects that begin alike are not the same, however long they are', () => {
  const name = 'x'.repeat(600);
  expect(originOf({ 'x-rlm-project': `${name}a` }).project).toBe(`${name}a`);
});

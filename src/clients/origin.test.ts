import { expect, test } from 'vitest';
import { originOf } from './origin.ts';

test('directory and project are percent-decoded, and taken as they are where they are no encoding', () => {
  const said = (value: string) => originOf({ 'x-rlm-directory': value, 'x-rlm-project': value });
  expect(said('/w/%C3%BC')).toMatchObject({ directory: '/w/ü', project: '/w/ü' });
  expect(said('/w/100%')).toMatchObject({ directory: '/w/100%', project: '/w/100%' });
  expect(originOf({ 'x-rlm-project': 'x'.repeat(600) }).project).toHaveLength(512);
});

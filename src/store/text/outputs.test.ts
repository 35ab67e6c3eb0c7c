import { expect, it } from 'vitest';
import { Outputs } from './outputs.ts';
import type { Entry } from '../types.ts';

const one = { id: 'e1' } as Entry;
const two = { id: 'e2' } as Entry;

it('keeps the texts that came under one id apart by chat and by call, each once, in order', () => {
  const outputs = new Outputs();
  expect(outputs.of('a', 'bash:0')).toEqual([]);
  outputs.add('a', 'bash:0', { entry: one, call: 'alpha' });
  outputs.add('a', 'bash:0', { entry: one, call: 'alpha' });
  expect(outputs.of('a', 'bash:0')).toEqual([{ entry: one, call: 'alpha' }]);
  outputs.add('a', 'bash:0', { entry: two, call: 'beta' });
  outputs.add('a', 'bash:0', { entry: one, call: 'beta' });
  outputs.add('a', 'bash:0', { entry: two, call: 'beta' });
  outputs.add('b', 'bash:0', { entry: two, call: 'alpha' });
  expect(outputs.of('a', 'bash:0')).toEqual([
    { entry: one, call: 'alpha' },
    { entry: two, call: 'beta' },
    { entry: one, call: 'beta' },
  ]);
  expect(outputs.of('b', 'bash:0')).toEqual([{ entry: two, call: 'alpha' }]);
});

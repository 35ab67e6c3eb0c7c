import { expect, test } from 'vitest';
import { wrapped } from './screen.ts';

test('sentences break between words; what is to be copied does not', () => {
  const text =
    'No model is set up yet, so usual limits are written. Set one up with `rlm-opencode init --provider zai`, then\nshort\n  rlm-opencode init --base-url http://127.0.0.1:8080/v1 --key-env A_KEY --model some-model\n';
  expect(wrapped(text, 60)).toBe(
    'No model is set up yet, so usual limits are written. Set one\nup with `rlm-opencode init --provider zai`, then\nshort\n  rlm-opencode init --base-url http://127.0.0.1:8080/v1 --key-env A_KEY --model some-model\n',
  );
  // A word that is wider than the terminal stands alone.
  expect(wrapped(`a ${'b'.repeat(30)} c`, 20)).toBe(`a\n${'b'.repeat(30)}\nc`);
});

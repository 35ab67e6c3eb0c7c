import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { continueSetup } from './continue-setup.ts';

const proxy = {
  address: 'http://127.0.0.1:8768',
  hasToken: false,
  contextWindowTokens: 202_752,
  maxOutputTokens: 131_072,
};

test.each([
  ['no line end', 'models:\n  - name: A\n    provider: x'],
  ['in the column of the name', 'models:\n- name: A\n  provider: x\nrules: []\n'],
  [
    'a text of several lines at the end',
    'models:\n  - name: A\n    prompt: |\n      one\n      two\nname: Z\n',
  ],
  ['comments behind the last one', 'models:\n  - name: A # a\n    # b\n# c\nname: Z\n'],
  ['a scalar as the last one', 'models:\n  - name: A\n  - plain\n'],
  ['line ends of Windows', 'models:\r\n  - name: A\r\n    provider: x\r\nname: Z\r\n'],
  ['no list yet', 'name: Z\n'],
  ['nothing but a comment', '# mine\n'],
])('%s: ours is the last model, and goes again without a trace', async (_, before) => {
  const outcome = await continueSetup.install(before, proxy, { liftToolOutput: false });
  if (!outcome.ok) throw new Error(outcome.fault);
  const value = parse(outcome.text) as { models: readonly unknown[] };
  const old = parse(before) as { models?: readonly unknown[] } | null;
  expect(value).toEqual({
    ...old,
    models: [
      ...(old?.models ?? []),
      expect.objectContaining({ model: 'rlm-internal.rlm-core-v1', apiKey: 'rlm-local' }),
    ],
  });
  expect(continueSetup.limitsIn(outcome.text)).toEqual({
    contextWindowTokens: 202_752,
    maxOutputTokens: 131_072,
  });
  const again = await continueSetup.install(outcome.text, proxy, { liftToolOutput: false });
  expect(again).toEqual(outcome);
  const left = await continueSetup.uninstall(outcome.text, before);
  // A last line without an end gets one.
  expect(left).toEqual({ ok: true, text: before.endsWith('\n') ? before : `${before}\n` });
});

import * as fc from 'fast-check';
import { getNodeValue, parseTree, type Node, type ParseError } from 'jsonc-parser';
import { describe, expect, test } from 'vitest';
import {
  blockToPaste,
  installProvider,
  installedBlock,
  isInstallationOf,
  uninstallProvider,
} from './config-text.ts';
import type { ProviderFacts } from './provider-entry.ts';
import { coreModelId } from '../wire/core-model.ts';

const facts: ProviderFacts = {
  baseURL: 'http://127.0.0.1:8768/v1',
  apiKey: 'rlm-local',
  contextWindowTokens: 202_752,
  maxOutputTokens: 131_072,
};

function install(text: string | undefined, changed: Partial<ProviderFacts> = {}): string {
  const outcome = installProvider(text, { facts: { ...facts, ...changed }, liftToolOutput: false });
  if (!outcome.ok) throw new Error(outcome.fault);
  return outcome.text;
}

function uninstall(text: string): string {
  const outcome = uninstallProvider(text);
  if (!outcome.ok) throw new Error(outcome.fault);
  return outcome.text;
}

function value(text: string): Record<string, unknown> {
  const errors: ParseError[] = [];
  // The package's own `parse` loses members that are called `__proto__`.
  const root = parseTree(text.replace(/^\uFEFF/, ''), errors, { allowTrailingComma: true });
  expect(errors).toEqual([]);
  return getNodeValue(root as Node) as Record<string, unknown>;
}

test('a file that does not exist yet', () => {
  expect(value(install(undefined))).toEqual({
    $schema: 'https://opencode.ai/config.json',
    provider: {
      'rlm-opencode': {
        npm: '@ai-sdk/openai-compatible',
        name: 'RLM OpenCode',
        options: { baseURL: facts.baseURL, apiKey: facts.apiKey },
        models: {
          [coreModelId]: {
            name: 'RLM Core v1',
            tool_call: true,
            limit: { context: 202_752, output: 131_072 },
          },
        },
      },
    },
  });
});

const shapes: Record<string, string> = {
  'comments everywhere': `// head
{
  // before theme
  "theme": "dark", // behind theme
  /* block */ "provider": {
    // mine
    "ollama": { "npm": "x", "options": { "baseURL": "http://a" } }, // behind ollama
  },
  // tail
}
// end
`,
  'tabs and CRLF': '{\r\n\t"theme": "dark",\r\n\t"provider": {\r\n\t\t"a": {}\r\n\t}\r\n}\r\n',
  'four spaces, no newline at the end': '{\n    "theme": "dark"\n}',
  'a byte order mark': '\uFEFF{ "theme": "dark" }\n',
  'one line': '{"theme":"dark","provider":{"a":{"npm":"x"}}}',
  'nothing but braces': '{}',
  'nothing but comments': '// to do\n',
  'nothing at all': '',
  'an empty provider with a comment': '{ "provider": { /* later */ } }',
  'trailing comma': '{ "mcp": {}, }',
};

describe.each(Object.entries(shapes))('%s', (_name, text) => {
  test('installed: readable, ours is in, the comments and line ends are kept', () => {
    const edited = install(text);
    expect(installedBlock(edited)).toMatchObject({ options: { baseURL: facts.baseURL } });
    for (const comment of text.match(/\/\/.*|\/\*.*?\*\//g) ?? []) {
      expect(edited).toContain(comment.trimEnd());
    }
    expect(edited.startsWith('\uFEFF')).toBe(text.startsWith('\uFEFF'));
    const lineEnds = new Set(edited.match(/\r?\n/g));
    expect([...lineEnds]).toEqual([text.includes('\r\n') ? '\r\n' : '\n']);
    expect(edited.includes('\n\t\t"rlm-opencode"')).toBe(text.includes('\t'));
  });

  test('twice is once', () => {
    expect(install(install(text))).toBe(install(text));
  });

  test('taken out again: the siblings and comments are back', () => {
    const back = uninstall(install(text));
    const { provider, ...others } = value(text === '' ? '{}' : text.replace(/^\/\/.*\n$/, '{}'));
    expect(value(back)).toEqual(
      JSON.stringify(provider ?? {}) === '{}' && !back.includes('later')
        ? others
        : { ...others, provider },
    );
    for (const comment of text.match(/\/\/.*|\/\*.*?\*\//g) ?? []) {
      expect(back).toContain(comment.trimEnd());
    }
    expect(installedBlock(back)).toBeUndefined();
  });
});

test('an update changes only what is ours', () => {
  const text = install('{}')
    .replace('"RLM OpenCode"', '"My memory" /* mine */')
    .replace('"tool_call": true', '"tool_call": false, "attachment": true');
  const edited = install(text, {
    baseURL: 'http://127.0.0.1:9/v1',
    contextWindowTokens: 1_000_000,
  });
  expect(installedBlock(edited)).toMatchObject({
    name: 'My memory',
    options: { baseURL: 'http://127.0.0.1:9/v1' },
    models: {
      [coreModelId]: {
        tool_call: false,
        attachment: true,
        limit: { context: 1_000_000, output: 131_072 },
      },
    },
  });
  expect(edited).toContain('/* mine */');
});

test('a native block of OpenCode 2 is edited in its own form, and no second one is made', () => {
  const text = '{ "providers": { "rlm-opencode": { "settings": { "timeout": 5 } } } }';
  const edited = install(text);
  expect(value(edited)).toMatchObject({
    providers: {
      'rlm-opencode': {
        package: 'aisdk:@ai-sdk/openai-compatible',
        settings: { baseURL: facts.baseURL, timeout: 5 },
      },
    },
  });
  expect(value(edited)).not.toHaveProperty('provider');
  expect(value(uninstall(edited))).toEqual({});
});

test('the tool output is lifted only on request, and put back', () => {
  const lifted = installProvider('{ "tool_output": { "max_lines": 5 } }', {
    facts,
    liftToolOutput: true,
  });
  expect(lifted.ok && value(lifted.text)['tool_output']).toEqual({
    max_lines: 1_000_000,
    max_bytes: 20_000_000,
  });
  expect(lifted.ok && value(uninstall(lifted.text))).toEqual({});
  expect(value(install('{}'))).not.toHaveProperty('tool_output');
  const own = '{ "tool_output": { "max_lines": 5 } }';
  expect(value(uninstall(install(own)))).toEqual({ tool_output: { max_lines: 5 } });
});

test.each([
  ['{ "a": ', 'not valid JSON'],
  ['{ "a" 1 }', 'line 1, column 7'],
  ['[]', 'object'],
  ['"text"', 'object'],
  ['{ "provider": [] }', '"provider" is not an object'],
  ['{ "provider": {}, "provider": {} }', 'twice'],
])('refuses %s', (text, reason) => {
  for (const outcome of [
    installProvider(text, { facts, liftToolOutput: false }),
    uninstallProvider(text),
  ]) {
    expect(outcome).toMatchObject({ ok: false, fault: expect.stringContaining(reason) as string });
  }
});

test('an installation that nobody touched is recognised, others are not', () => {
  for (const text of Object.values(shapes)) {
    expect(isInstallationOf(install(text, { baseURL: 'http://[::1]:1/v1' }), text)).toBe(true);
    expect(isInstallationOf(`${install(text)} `, text)).toBe(false);
    expect(isInstallationOf(text, text)).toBe(false);
  }
  expect(isInstallationOf(install(undefined), undefined)).toBe(true);
  expect(isInstallationOf(install('{}'), undefined)).toBe(false);
  const lifted = installProvider('{}', { facts, liftToolOutput: true });
  expect(lifted.ok && isInstallationOf(lifted.text, '{}')).toBe(true);
});

test('what to paste is the same block', () => {
  expect(value(blockToPaste(facts))).toEqual({ provider: value(install('{}'))['provider'] });
});

test('a member that is called like the prototype is one like any other', () => {
  const text = '{\n  "provider": { "a": { "__proto__": { "b": 1 } } },\n  "__proto__": 2\n}\n';
  expect(value(install(text))['provider']).toMatchObject(JSON.parse(text).provider);
  expect(value(uninstall(install(text)))).toEqual(JSON.parse(text));
});

/** JSON with comments, odd spaces and trailing commas around any value. */
const jsonc = fc
  .record({
    members: fc.dictionary(
      fc.stringMatching(/^[a-zA-Z$"\\ é]{1,6}$/).filter((name) => !/^providers?$/.test(name)),
      fc.jsonValue({ maxDepth: 2 }),
      { maxKeys: 5 },
    ),
    providers: fc.option(fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.jsonValue()), {
      nil: undefined,
    }),
    indent: fc.constantFrom('', '  ', '\t', '    '),
    eol: fc.constantFrom('\n', '\r\n'),
    comment: fc.constantFrom('', '// note', '/* a */ // b'),
    comma: fc.boolean(),
    mark: fc.boolean(),
  })
  .map(({ members, providers, indent, eol, comment, comma, mark }) => {
    const all = providers === undefined ? members : { ...members, provider: providers };
    const lines = JSON.stringify(all, null, indent).split('\n');
    const body = lines
      .map((line, index) => {
        const isLastMember = comma && index === lines.length - 2 && !/[,{[]$/.test(line);
        return `${line}${isLastMember ? ',' : ''}${comment === '' || lines.length === 1 ? '' : ` ${comment}`}`;
      })
      .join(eol);
    return { text: `${mark ? '\uFEFF' : ''}${body}${eol}`, all, comment };
  });

test('property: in and out again gives back every sibling and every comment', () => {
  fc.assert(
    fc.property(jsonc, ({ text, all, comment }) => {
      const installed = install(text);
      expect(install(installed)).toBe(installed);
      const back = uninstall(installed);
      const { provider, ...others } = JSON.parse(JSON.stringify(all)) as Record<string, unknown>;
      const isEmpty = provider === undefined || Object.keys(provider as object).length === 0;
      expect(value(back)).toEqual(
        isEmpty && value(back)['provider'] === undefined ? others : { ...others, provider },
      );
      const count = (where: string) => (comment === '' ? 0 : where.split(comment).length);
      expect(count(back)).toBe(count(text));
    }),
    { numRuns: 300 },
  );
});

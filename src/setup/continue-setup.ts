import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { continueCli } from '../clients/continue.ts';
import { homeOf } from '../clients/home.ts';
import { coreModelId } from '../wire/core-model.ts';
import { isObject } from '../wire/json.ts';
import { type ClientSetup, limitsOf } from './client-setup.ts';
import type { EditOutcome } from './config-text.ts';
import { hasPart, partOf, withoutPart, withPart } from './marked-part.ts';
import { noKey, type ProxyFacts, tokenVariable } from './proxy-facts.ts';

/** What Continue's configuration begins as. */
const fresh = 'name: Local Assistant\nversion: 1.0.0\nschema: v1\n';

/** Continue: a model in its list. Its comments stay because lines are put in and nothing else. */
export const continueSetup: ClientSetup = {
  title: 'Continue',
  paths: (places) => [join(homeOf(continueCli, places), 'config.yaml')],
  install: async (text, proxy) => install(text ?? fresh, proxy),
  uninstall: async (text, before) => {
    const rest = withoutPart(text);
    if (before === undefined && (rest === fresh || rest.trim() === '')) {
      return { ok: true, text: undefined };
    }
    return verified(text, rest);
  },
  isInstalled: hasPart,
  limitsIn: (text) =>
    limitsOf(
      /^\s*contextLength: (\d+)$/m.exec(partOf(text))?.[1],
      /^\s*maxTokens: (\d+)$/m.exec(partOf(text))?.[1],
    ),
  toPaste: (proxy) => ['models:', ...entryLines(proxy).map((line) => `  ${line}`)].join('\n'),
  next: () => ['rlm-opencode serve --background', 'cn     (then /model)'],
};

async function install(text: string, proxy: ProxyFacts): Promise<EditOutcome> {
  const place = await placeFor(withoutPart(text));
  if (!place.ok) return place;
  const lines = entryLines(proxy);
  // The place is only used where our part is not there yet; then the text is the whole text.
  const ownList = hasPart(text) ? partOf(text).includes('\nmodels:') : place.isNewList;
  return verified(
    text,
    withPart(text, ownList ? ['models:', ...lines.map((line) => `  ${line}`)] : lines, place),
  );
}

type Place =
  | {
      readonly ok: true;
      readonly offset: number;
      readonly indent: string;
      /** Whether there is no list of models yet. */
      readonly isNewList: boolean;
    }
  | Extract<EditOutcome, { ok: false }>;

/** Behind the last model: the first one is what Continue takes unless another is chosen. */
async function placeFor(text: string): Promise<Place> {
  const { isMap, isScalar, isSeq, parseDocument } = await import('yaml');
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) return { ok: false, fault: `it is not valid YAML: ${firstLine(error)}` };
  const root = document.contents;
  if (root === null) return { ok: true, offset: text.length, indent: '', isNewList: true };
  if (!isMap(root) || root.flow === true) return { ok: false, fault: 'it holds no mapping' };
  const pair = root.items.find(({ key }) => isScalar(key) && key.value === 'models');
  if (pair === undefined) return { ok: true, offset: text.length, indent: '', isNewList: true };
  const items = isSeq(pair.value) && pair.value.flow !== true ? pair.value.items : [];
  const [start, end] = [startOf(items[0]), endOf(items.at(-1))];
  if (start === undefined || end === undefined) {
    return { ok: false, fault: 'its "models" is no list with models' };
  }
  const dash = text.lastIndexOf('-', start);
  const indent = text.slice(text.lastIndexOf('\n', dash) + 1, dash);
  if (indent.trim() !== '') return { ok: false, fault: 'its "models" cannot be edited safely' };
  const lineEnd = text.indexOf('\n', end - 1);
  const offset = lineEnd === -1 ? text.length : lineEnd + 1;
  return { ok: true, offset, indent, isNewList: false };
}

/** Where a node of the parser begins in the text. */
function startOf(node: unknown): number | undefined {
  return (node as { range?: readonly number[] } | undefined)?.range?.[0];
}

/** Where its value ends. */
function endOf(node: unknown): number | undefined {
  return (node as { range?: readonly number[] } | undefined)?.range?.[1];
}

function entryLines(proxy: ProxyFacts): readonly string[] {
  return [
    '- name: RLM Core v1',
    '  provider: openai',
    `  model: ${coreModelId}`,
    `  apiBase: ${proxy.address}/v1`,
    `  apiKey: ${proxy.hasToken ? `\${{ secrets.${tokenVariable} }}` : noKey}`,
    '  roles: [chat, edit, apply]',
    '  capabilities: [tool_use]',
    '  defaultCompletionOptions:',
    `    contextLength: ${proxy.contextWindowTokens}`,
    `    maxTokens: ${proxy.maxOutputTokens}`,
  ];
}

/** Whatever the text looks like: everything that is not ours must have the same value as before. */
async function verified(before: string, after: string): Promise<EditOutcome> {
  const { parseDocument } = await import('yaml');
  const rest = (text: string): unknown => {
    const document = parseDocument(text);
    if (document.errors.length > 0) return document.errors;
    const value: unknown = document.toJS();
    if (!isObject(value)) return value;
    const { models, ...others } = value;
    const left = Array.isArray(models)
      ? models.filter((model) => !isObject(model) || model['model'] !== coreModelId)
      : [];
    return left.length === 0 ? others : { ...others, models: left };
  };
  const [old, now] = [rest(before), rest(after)];
  return !Array.isArray(now) && isDeepStrictEqual(old ?? {}, now ?? {})
    ? { ok: true, text: after }
    : { ok: false, fault: 'its form is one that cannot be edited safely' };
}

function firstLine({ message }: Error): string {
  return message.split('\n')[0] ?? '';
}

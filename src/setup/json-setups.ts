import { join } from 'node:path';
import { claudeCode } from '../clients/claude-code.ts';
import { cline } from '../clients/cline.ts';
import { homeOf, variableFolder } from '../clients/home.ts';
import { pi } from '../clients/pi.ts';
import { qwenCode } from '../clients/qwen-code.ts';
import { coreModelId } from '../wire/core-model.ts';
import { isObject } from '../wire/json.ts';
import {
  type ClientSetup,
  type InstalledLimits,
  limitsOf,
  type SetupPlaces,
} from './client-setup.ts';
import {
  emptyText,
  installMembers,
  memberIn,
  membersToPaste,
  type OwnMember,
  type OwnPlace,
  uninstallMembers,
} from './json-members.ts';
import { at } from './jsonc-edit.ts';
import { providerId } from './provider-entry.ts';
import { noKey, type ProxyFacts, tokenVariable } from './proxy-facts.ts';
import { claudeVariables } from './runs.ts';

/** A client whose configuration is JSON. */
export interface JsonSetup {
  readonly title: string;
  readonly paths: (places: SetupPlaces) => readonly string[];
  /** What a file begins as; absent: empty. */
  readonly fresh?: string;
  readonly members: (proxy: ProxyFacts) => readonly OwnMember[];
  /** What is taken out again. */
  readonly taken: readonly OwnPlace[];
  /** Where one sees that we are there. */
  readonly sign: OwnPlace;
  readonly limitsIn: (text: string) => InstalledLimits | undefined;
  readonly next: (proxy: ProxyFacts) => readonly string[];
}

/** Whether an element of a list of models is ours. */
function isOurModel(element: unknown): boolean {
  return isObject(element) && element['id'] === coreModelId;
}

const piModels: OwnPlace = { path: ['providers', providerId, 'models'], isOurs: isOurModel };

/** pi: a provider in its list of models. */
export const piSetup = jsonSetup({
  title: 'pi',
  paths: (places) => [join(homeOf(pi, places), 'models.json')],
  members: ({ address, hasToken, contextWindowTokens, maxOutputTokens }) => [
    { path: ['providers', providerId, 'baseUrl'], value: `${address}/v1` },
    { path: ['providers', providerId, 'api'], value: 'openai-completions' },
    // The name of a variable is its value there.
    { path: ['providers', providerId, 'apiKey'], value: hasToken ? tokenVariable : noKey },
    {
      ...piModels,
      value: {
        id: coreModelId,
        name: 'RLM Core v1',
        contextWindow: contextWindowTokens,
        maxTokens: maxOutputTokens,
      },
    },
  ],
  taken: [{ path: ['providers', providerId] }],
  sign: { path: ['providers', providerId] },
  limitsIn: (text) => {
    const model = memberIn(text, piModels);
    return limitsOf(at(model, ['contextWindow']), at(model, ['maxTokens']));
  },
  next: () => [
    'rlm-opencode serve --background',
    `pi --provider ${providerId} --model ${coreModelId}`,
  ],
});

const qwenModels: OwnPlace = { path: ['modelProviders', 'openai'], isOurs: isOurModel };

/** A variable of ours in the settings of Qwen Code, which wants a key by a name. */
const qwenKeyVariable = 'QWEN_RLM_KEY';

/** Qwen Code: a model in the list that `/model` shows. */
export const qwenSetup = jsonSetup({
  title: 'Qwen Code',
  paths: (places) => [join(homeOf(qwenCode, places), 'settings.json')],
  members: ({ address, hasToken, contextWindowTokens, maxOutputTokens }) => [
    {
      ...qwenModels,
      value: {
        id: coreModelId,
        name: 'RLM Core v1',
        baseUrl: `${address}/v1`,
        envKey: hasToken ? tokenVariable : qwenKeyVariable,
        generationConfig: {
          contextWindowSize: contextWindowTokens,
          samplingParams: { max_tokens: maxOutputTokens },
        },
      },
    },
    ...(hasToken ? [] : [{ path: ['env', qwenKeyVariable], value: noKey }]),
  ],
  taken: [qwenModels, { path: ['env', qwenKeyVariable] }],
  sign: qwenModels,
  limitsIn: (text) => {
    const generation = at(memberIn(text, qwenModels), ['generationConfig']);
    return limitsOf(
      at(generation, ['contextWindowSize']),
      at(generation, ['samplingParams', 'max_tokens']),
    );
  },
  next: () => ['rlm-opencode serve --background', `qwen --auth-type openai --model ${coreModelId}`],
});

/** Of all the places that its variables move, that of its providers. */
function clineFile(places: SetupPlaces): string {
  const data = variableFolder(['CLINE_DATA_DIR'], places) ?? join(homeOf(cline, places), 'data');
  return (
    variableFolder(['CLINE_PROVIDER_SETTINGS_PATH'], places) ??
    join(data, 'settings/providers.json')
  );
}

/** Some date: it forgets a provider without one. */
const clineDate = '2026-01-01T00:00:00.000Z';

const clineProvider = ['providers', 'openai-compatible'];

/** Cline's command line: its one provider for other servers. Keys are read from its file only. */
export const clineSetup = jsonSetup({
  title: 'Cline',
  paths: (places) => [clineFile(places)],
  fresh: '{\n  "version": 1,\n  "providers": {}\n}\n',
  members: ({ address }) => [
    { path: [...clineProvider, 'settings', 'provider'], value: 'openai-compatible' },
    { path: [...clineProvider, 'settings', 'apiKey'], value: noKey },
    { path: [...clineProvider, 'settings', 'model'], value: coreModelId },
    { path: [...clineProvider, 'settings', 'baseUrl'], value: `${address}/v1` },
    { path: [...clineProvider, 'updatedAt'], value: clineDate, isOnlyNew: true },
  ],
  taken: [
    ...['baseUrl', 'model', 'apiKey', 'provider'].map((name) => ({
      path: [...clineProvider, 'settings', name],
    })),
    { path: [...clineProvider, 'updatedAt'], is: (value) => value === clineDate },
  ],
  sign: { path: [...clineProvider, 'settings', 'model'], is: (model) => model === coreModelId },
  limitsIn: () => undefined,
  next: ({ hasToken }) => [
    'rlm-opencode serve --background',
    `cline -P openai-compatible${hasToken ? ` -k "$${tokenVariable}"` : ''}`,
  ],
});

const claudeNames = Object.keys(
  claudeVariables({ address: '', hasToken: false, contextWindowTokens: 0, maxOutputTokens: 0 }),
);

/**
 * Claude Code: the variables in its settings. It has no list of providers, so from then on every
 * start of it uses the proxy.
 */
export const claudeSetup = jsonSetup({
  title: 'Claude Code',
  paths: (places) => [join(homeOf(claudeCode, places), 'settings.json')],
  members: (proxy) => [
    ...Object.entries(claudeVariables(proxy)).map(([name, value]) => ({
      path: ['env', name],
      value,
    })),
    { path: ['env', 'ANTHROPIC_AUTH_TOKEN'], value: proxy.hasToken ? '' : noKey },
    ...(proxy.hasToken ? [{ path: ['apiKeyHelper'], value: `printenv ${tokenVariable}` }] : []),
  ],
  taken: [
    ...[...claudeNames, 'ANTHROPIC_AUTH_TOKEN'].map((name) => ({ path: ['env', name] })),
    { path: ['apiKeyHelper'], is: (value) => value === `printenv ${tokenVariable}` },
  ],
  sign: { path: ['env', 'ANTHROPIC_MODEL'], is: (model) => model === coreModelId },
  limitsIn: (text) => {
    const variable = (name: string): unknown => memberIn(text, { path: ['env', name] });
    return limitsOf(
      variable('CLAUDE_CODE_MAX_CONTEXT_TOKENS'),
      variable('CLAUDE_CODE_MAX_OUTPUT_TOKENS'),
    );
  },
  next: () => [
    'rlm-opencode serve --background',
    'claude     (each start of it uses the proxy now)',
  ],
});

/** A client's row from what is particular about its JSON. */
export function jsonSetup(own: JsonSetup): ClientSetup {
  const { title, paths, fresh = emptyText, members, taken, sign, limitsIn, next } = own;
  return {
    title,
    paths,
    install: (text, proxy) => installMembers(text ?? fresh, members(proxy)),
    uninstall: (text, before) => uninstallMembers(text, { before, fresh }, taken),
    isInstalled: (text) => {
      const standing = memberIn(text, sign);
      return sign.is === undefined ? standing !== undefined : sign.is(standing);
    },
    limitsIn,
    toPaste: (proxy) => membersToPaste(members(proxy)),
    next,
  };
}

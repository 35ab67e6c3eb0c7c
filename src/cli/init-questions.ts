import {
  autocomplete,
  confirm,
  isCancel,
  log,
  password,
  select,
  spinner,
  text,
} from '@clack/prompts';
import { countOf, grouped } from '../base/numbers.ts';
import { machineOf } from '../config/places.ts';
import { presets } from '../config/presets.ts';
import { ProxyError } from '../errors.ts';
import { checkAddress, checkKey } from '../upstream/endpoint.ts';
import type { InitQuestions } from './init.ts';
import { proseFor, visible } from './screen.ts';

/** A provider that is none of the known ones. */
const other = '';

/** Names that not everybody knows, with what people call them. */
const titles: Readonly<Record<string, string>> = {
  zai: 'zai: Z.ai, GLM models',
  'zai-coding': 'zai-coding: Z.ai, GLM Coding Plan',
  bigmodel: 'bigmodel: Zhipu, GLM models in China',
  'bigmodel-coding': 'bigmodel-coding: Zhipu, GLM Coding Plan',
  moonshot: 'moonshot: Kimi models',
  ollama: 'ollama: on this machine',
  lmstudio: 'lmstudio: on this machine',
  llamacpp: 'llamacpp: llama-server, on this machine',
  vllm: 'vllm: on this machine',
};

/** Lines of a list that are shown at once, where the terminal has room: every known provider. */
const shownLines = 20;

/** The bar in front of what is said between questions. */
const gutterCells = 3;

/** Asks the person at the terminal. @throws ProxyError `cancelled` where he leaves */
export function askPerson(): InitQuestions {
  const { env } = machineOf();
  const isSet = (name: string | undefined): boolean =>
    name !== undefined && (env[name] ?? '') !== '';
  return {
    provider: async () => {
      const names = Object.entries(presets);
      const chosen = await answer(
        select({
          message: 'Which provider?',
          options: [
            ...names.map(([name, { baseURL, apiKeyEnv }]) => ({
              value: name,
              label: titles[name] ?? name,
              hint: isSet(apiKeyEnv) ? `${baseURL}, ${apiKeyEnv} is set` : baseURL,
            })),
            {
              value: other,
              label: 'another one, by its address',
              hint: 'any OpenAI-compatible API',
            },
          ],
          initialValue: names.find(([, { apiKeyEnv }]) => isSet(apiKeyEnv))?.[0] ?? 'zai',
          maxItems: shownLines,
        }),
      );
      if (chosen !== other) return { provider: chosen };
      return {
        baseUrl: await answer(
          text({
            message: 'Its address?',
            placeholder: 'https://api.example.com/v1',
            validate: (value) => faultOf(checkAddress(value ?? '')),
          }),
        ),
      };
    },
    key: async (usual, isHere, refused) => {
      const chosen = await answer(
        select({
          message: 'Where is its key?',
          options: [
            {
              value: 'env',
              label: 'in a variable',
              hint:
                usual === undefined
                  ? 'you say which'
                  : `${usual}${isSet(usual) ? ', which is set' : ''}`,
            },
            { value: 'typed', label: 'I paste it', hint: 'kept in a file that only you can read' },
            { value: 'none', label: 'it wants none' },
          ],
          initialValue:
            refused !== undefined ? 'typed' : isHere ? 'none' : isSet(usual) ? 'env' : 'typed',
        }),
      );
      if (chosen === 'none') return {};
      if (chosen === 'typed') {
        const typed = await answer(
          password({
            message: 'The key?',
            validate: (value) =>
              (value ?? '') === '' ? 'Nothing was typed.' : faultOf(checkKey(value ?? '')),
          }),
        );
        return { typed: typed.trim() };
      }
      const name = await answer(
        text({
          message: 'The name of the variable?',
          initialValue: usual ?? '',
          validate: (value) =>
            isSet(value)
              ? undefined
              : 'It is not set in this terminal: leave with Ctrl-C, set it, and come back.',
        }),
      );
      return { env: name };
    },
    model: async (models, first, fault) => {
      if (models.length === 0) {
        return answer(
          text({
            message: `${fault ?? 'It names no models.'} Which model, as it spells it?`,
            initialValue: first ?? '',
            validate: (value) =>
              (value ?? '') === '' ? 'Its name, as the provider spells it.' : undefined,
          }),
        );
      }
      return answer(
        autocomplete({
          message: `Which model? (${countOf(models.length, 'model')}; type to search)`,
          options: models.map(({ id, contextWindowTokens }) => ({
            value: id,
            label: visible(id),
            ...(contextWindowTokens === undefined
              ? {}
              : { hint: `${grouped(contextWindowTokens)} tokens` }),
          })),
          ...(first === undefined ? {} : { initialValue: first }),
          maxItems: shownLines,
        }),
      );
    },
    contextWindow: async () =>
      Number(
        await answer(
          text({
            message: 'How many tokens can it hold? Its window, as the provider states it.',
            initialValue: '128000',
            validate: (value) =>
              /^\d{4,8}$/.test(value ?? '') ? undefined : 'A number, such as 128000.',
          }),
        ),
      ),
    tell: (words) => log.warn(proseFor(process.stdout, words, gutterCells)),
    goOn: async (message) => answer(confirm({ message, initialValue: false })),
    during: async (what, work) => {
      const shown = spinner();
      shown.start(what);
      try {
        const result = await work;
        shown.stop(`${what}: done`);
        return result;
      } catch (error) {
        shown.error(`${what}: that failed`);
        throw error;
      }
    },
  };
}

/** What was answered. @throws ProxyError `cancelled` */
async function answer<Value>(asked: Promise<Value>): Promise<Exclude<Value, symbol>> {
  const given = await asked;
  if (isCancel(given)) throw new ProxyError('cancelled', 'Nothing was written.');
  return given as Exclude<Value, symbol>;
}

function faultOf(checked: ReturnType<typeof checkKey>): string | undefined {
  return checked.ok ? undefined : `It ${checked.fault}.`;
}

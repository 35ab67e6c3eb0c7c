import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { grouped } from '../base/numbers.ts';
import { parseSettings } from '../config/parse.ts';
import { isOpenToOthers, machineOf, readKeyFile, readSettingsFile } from '../config/places.ts';
import { presets, presetOfUrl } from '../config/presets.ts';
import { type ConfiguredProvider, resolveConfig } from '../config/resolve.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { backupPath, readConfigFile, writeConfigFile } from '../setup/config-file.ts';
import { type ProviderChoice, withProvider } from '../setup/settings-text.ts';
import { textDiff } from '../setup/text-diff.ts';
import { checkAddress } from '../upstream/endpoint.ts';
import type { UpstreamModel } from '../upstream/upstream.ts';
import { exitCodes, finish } from './run.ts';
import { print, printProse } from './screen.ts';
import { knownServer } from './server-facts.ts';
import { shortPath } from './start-text.ts';
import type { Trial } from './try-model.ts';

/** What was said on the command line. */
interface InitFlags {
  readonly provider?: string;
  readonly baseUrl?: string;
  readonly keyEnv?: string;
  readonly keyFile?: string;
  readonly model?: string;
  readonly yes?: boolean;
  /** False with `--no-try`. */
  readonly try?: boolean;
}

/** Who answers what the flags do not say: a person, or nobody. */
export interface InitQuestions {
  /** A preset, or an address. */
  provider(): Promise<Pick<InitFlags, 'provider' | 'baseUrl'>>;
  /**
   * Where the key is, or the key itself.
   * @param usual The variable that customarily holds it
   * @param isHere Whether the provider is on this machine, where none is usual
   * @param refused The choice before, where the provider has refused it
   */
  key(usual: string | undefined, isHere: boolean, refused?: KeyChoice): Promise<KeyChoice>;
  /** @param fault Why there is no list */
  model(
    models: readonly UpstreamModel[],
    first: string | undefined,
    fault?: string,
  ): Promise<string>;
  contextWindow(): Promise<number>;
  /** Whether to go on although something is wrong. */
  goOn(question: string): Promise<boolean>;
  /** Says what is not as it should be. */
  tell(text: string): void;
  /** Shows that something takes its time. */
  during<T>(what: string, work: Promise<T>): Promise<T>;
}

/** Where a provider's key comes from; nothing of it: it wants none. */
export interface KeyChoice {
  readonly env?: string | undefined;
  readonly file?: string | undefined;
  /** Typed in, to be written to a file that nobody else can read. */
  readonly typed?: string | undefined;
}

/** `rlm-opencode init`: from nothing to a model that answers, written into the settings file. */
export function initCommand(): Command {
  return new Command('init')
    .description('choose a provider and a model, try them, and write the settings')
    .option('--provider <name>', `a known one: ${Object.keys(presets).join(', ')}`)
    .option('--base-url <url>', 'any other OpenAI-compatible API')
    .option('--key-env <name>', 'the variable that holds its key')
    .option('--key-file <path>', 'the file that holds its key, and nothing else')
    .option('--model <id>', "the model, as the provider's own list names it")
    .option('--no-try', 'do not ask the model a small question first')
    .option('--yes', 'ask nothing: what is not said is taken as usual')
    .addHelpText(
      'after',
      `
Examples:
  $ rlm-opencode init
  $ rlm-opencode init --provider zai --key-env ZAI_API_KEY --model glm-5 --yes
  $ rlm-opencode init --base-url http://127.0.0.1:8080/v1 --yes
`,
    )
    .action(init);
}

async function init(flags: InitFlags): Promise<void> {
  const isAsking = flags.yes !== true && process.stdin.isTTY && process.stdout.isTTY;
  if (!isAsking && flags.provider === undefined && flags.baseUrl === undefined) {
    throw new ProxyError(
      'invalid_request',
      flags.yes === true
        ? 'Say which provider: --provider NAME, or --base-url URL.'
        : '`init` asks questions, and this is no terminal that could answer them.',
      {
        hint: `Such as:
  rlm-opencode init --provider zai --key-env ZAI_API_KEY --model glm-5 --yes
  rlm-opencode init --base-url http://127.0.0.1:8080/v1 --yes
Providers that are known by name: ${Object.keys(presets).join(', ')}.`,
      },
    );
  }
  // Loaded only here: nothing else asks questions.
  const questions = isAsking ? (await import('./init-questions.ts')).askPerson() : askNobody;
  await run(flags, questions);
}

/** Takes what is usual, and says what is missing. */
const askNobody: InitQuestions = {
  provider: () => Promise.reject(missing('--provider')),
  key: async (usual) => ({ env: usual }),
  model: async (models, first, fault) => {
    const only = models.length === 1 ? models[0]?.id : undefined;
    const model = first ?? only;
    if (model !== undefined) return model;
    const some = models.slice(0, 5).map(({ id }) => id);
    throw missing(
      '--model',
      fault ?? `The provider has ${grouped(models.length)}, such as ${some.join(', ')}.`,
    );
  },
  contextWindow: () => Promise.reject(missing('contextWindow')),
  goOn: async () => false,
  tell: (text) => printProse(`${text}\n`),
  during: (_, work) => work,
};

function missing(flag: string, hint?: string): ProxyError {
  return new ProxyError('invalid_request', `What is missing: ${flag}`, { hint });
}

async function run(flags: InitFlags, questions: InitQuestions): Promise<void> {
  const { env, folders } = machineOf();
  const { path } = readSettingsFile(env, folders);
  const file = await readConfigFile(path);
  const said = flags.provider ?? flags.baseUrl;
  const place = placeOf(said === undefined ? await questions.provider() : flags);
  const keyFile = join(dirname(path), 'keys', place.id);
  let key = await keyFor(place, flags, questions);
  const readKey = (asked: string): string =>
    asked === keyFile && key.typed !== undefined ? key.typed : readKeyFile(asked);
  const draft = (
    choice: ProviderChoice,
  ): { readonly text: string; readonly provider: ConfiguredProvider } => {
    const outcome = withProvider(file.text, choice);
    if (!outcome.ok)
      throw new ProxyError('config_invalid', `${path} was left alone: ${outcome.fault}.`);
    const parsed = parseSettings({ flags: {}, env, file: { path, text: outcome.text } });
    const { providers } = resolveConfig(parsed, env, folders, readKey);
    return { text: outcome.text, provider: providers.find(({ id }) => id === choice.id)! };
  };
  const withKey = (): ProviderChoice => ({
    ...place,
    apiKeyEnv: key.env,
    apiKeyFile: key.typed === undefined ? key.file : keyFile,
  });
  const listed = await listFor(
    () => draft(withKey()).provider,
    async (fault) => {
      if (questions === askNobody) throw fault;
      const refused = key;
      const isNone = refused.env === undefined && refused.typed === undefined;
      questions.tell(`It ${isNone ? 'wants a key' : 'refuses the key'}: ${fault.message}`);
      key = await keyFor(place, {}, questions, refused);
    },
    questions,
  );
  const base: ProviderChoice = { ...withKey(), ...listed.better };
  const keyPath = key.typed === undefined ? undefined : keyFile;
  const model = await modelFor(draft(base).provider, { ...listed, wanted: flags.model }, questions);
  const stated = draft({ ...base, model: model.id }).provider.models.some(
    ({ id }) => id === model.id,
  );
  const choice = {
    ...base,
    model: model.id,
    isNewModel: !stated,
    contextWindowTokens: stated ? undefined : await windowFor(model, questions),
  };
  const { text, provider } = draft(choice);
  if (flags.try !== false && !(await isTried(provider, model.id, questions))) {
    print('Nothing was written.\n');
    finish(exitCodes.failed);
    return;
  }
  if (keyPath !== undefined) writeKey(keyPath, key.typed ?? '');
  await write(file, text);
  await tellNext();
}

/** The name and the address of a provider. @throws ProxyError `invalid_request` */
function placeOf({
  provider,
  baseUrl,
}: Pick<InitFlags, 'provider' | 'baseUrl'>): Pick<ProviderChoice, 'id' | 'baseURL'> {
  if (baseUrl === undefined) {
    const id = provider ?? '';
    if (Object.hasOwn(presets, id)) return { id };
    throw new ProxyError(
      'invalid_request',
      `There is no provider \`${id}\` that is known by name.`,
      {
        hint: `Known: ${Object.keys(presets).join(', ')}; any other with --base-url URL.`,
      },
    );
  }
  const checked = checkAddress(baseUrl);
  if (!checked.ok)
    throw new ProxyError('invalid_request', `--base-url: ${checked.fault}.`, {
      hint: 'Give the address as the provider states it, such as https://api.example.com/v1',
    });
  const known = presetOfUrl(checked.text);
  if (known !== undefined && (provider === undefined || provider === known)) return { id: known };
  return { id: provider ?? nameOf(checked.text), baseURL: checked.text };
}

/** `https://api.example.com/v1` is `example`; an address of numbers is `local`. */
function nameOf(baseURL: string): string {
  const { hostname } = new URL(baseURL);
  const labels = hostname.split('.');
  const name = (labels.length > 1 ? labels.at(-2) : labels[0])?.toLowerCase() ?? '';
  return /^[a-z][a-z0-9_-]*$/.test(name) && hostname !== 'localhost' ? name : 'local';
}

async function keyFor(
  { id, baseURL }: Pick<ProviderChoice, 'id' | 'baseURL'>,
  { keyEnv, keyFile }: InitFlags,
  questions: InitQuestions,
  refused?: KeyChoice,
): Promise<KeyChoice> {
  if (keyFile !== undefined && keyEnv !== undefined)
    throw new ProxyError('invalid_request', 'Give --key-env or --key-file, not both.');
  if (keyFile !== undefined) {
    if (!existsSync(keyFile))
      throw new ProxyError('invalid_request', `${keyFile}: there is no such file.`);
    if (isOpenToOthers(keyFile))
      questions.tell(`${keyFile} can be read by others: \`chmod 600 ${keyFile}\``);
    return { file: keyFile };
  }
  if (keyEnv !== undefined) return { env: setVariable(keyEnv) };
  const usual = presets[id]?.apiKeyEnv;
  // A known local server wants none.
  if (Object.hasOwn(presets, id) && usual === undefined) return {};
  const isHere = /^https?:\/\/(?:localhost|127\.|\[::1\])/i.test(baseURL ?? '');
  const chosen = await questions.key(usual, isHere, refused);
  return chosen.env === undefined ? chosen : { env: setVariable(chosen.env) };
}

/** @throws ProxyError `invalid_request` where the variable holds nothing */
function setVariable(name: string): string {
  if ((machineOf().env[name] ?? '') !== '') return name;
  throw new ProxyError('invalid_request', `The variable ${name} is not set here.`, {
    hint: `Set it and run this again: export ${name}=...`,
  });
}

/** What a provider lists, or why it does not; and its right address where it was given short. */
interface Listed {
  readonly models: readonly UpstreamModel[];
  readonly fault?: string;
  readonly better?: Pick<ProviderChoice, 'baseURL'>;
}

/**
 * Asks a provider for its models.
 * @param refused Called where it refuses the key; then it is asked again
 */
async function listFor(
  provider: () => ConfiguredProvider,
  refused: (fault: ProxyError) => Promise<void>,
  questions: InitQuestions,
): Promise<Listed> {
  const { listModels } = await import('./try-model.ts');
  const ask = async (asked: ConfiguredProvider): Promise<readonly UpstreamModel[]> =>
    questions.during('Asking for its models', listModels(asked));
  for (;;) {
    const asked = provider();
    try {
      return { models: await ask(asked) };
    } catch (caught) {
      const error = toProxyError(caught);
      if (error.code === 'internal') throw caught;
      if (error.code === 'unauthorized') {
        await refused(keyFault(error, asked));
        continue;
      }
      // A provider that cannot be reached is of no use whatever the model.
      if (error.parts.status === undefined) throw error;
      const { betterAddress } = await import('./provider-check.ts');
      const baseURL = await betterAddress(asked, error, AbortSignal.timeout(addressMs));
      if (baseURL === undefined) {
        return { models: [], fault: `It gives no list of models (${error.message}).` };
      }
      questions.tell(`${asked.baseURL} has no API; ${baseURL} has, and is taken.`);
      try {
        return { models: await ask({ ...asked, baseURL }), better: { baseURL } };
      } catch (second) {
        const again = toProxyError(second);
        throw again.code === 'unauthorized' ? keyFault(again, asked) : second;
      }
    }
  }
}

/** Longest wait for another address, milliseconds. */
const addressMs = 10_000;

/** What a provider says of a key, and that nothing has come of it. */
function keyFault(error: ProxyError, { apiKey }: ConfiguredProvider): ProxyError {
  return new ProxyError('unauthorized', error.message, {
    hint:
      apiKey === undefined
        ? 'It wants a key: --key-env NAME (a variable), or --key-file PATH. Nothing was written.'
        : 'Is the key right, and for this address? Nothing was written.',
  });
}

async function modelFor(
  provider: ConfiguredProvider,
  { models, fault, wanted }: Listed & { readonly wanted: string | undefined },
  questions: InitQuestions,
): Promise<UpstreamModel> {
  const first = presets[provider.id]?.models[0]?.id;
  const isThere = first !== undefined && models.some(({ id }) => id === first);
  const suggested = models.length === 0 || isThere ? first : undefined;
  const id = wanted ?? (await questions.model(models, suggested, fault));
  const known = models.find((model) => model.id === id);
  if (known === undefined && models.length > 0) {
    const { nearestText } = await import('./provider-check.ts');
    const ids = models.map((model) => model.id);
    questions.tell(`Its list has no model \`${id}\`. ${nearestText(id, ids)}`);
  }
  return known ?? { id };
}

/** The window that the list states; else a person is asked, and nobody is not. */
async function windowFor(
  { contextWindowTokens }: UpstreamModel,
  questions: InitQuestions,
): Promise<number | undefined> {
  if (contextWindowTokens !== undefined) return contextWindowTokens;
  if (questions !== askNobody) return questions.contextWindow();
  questions.tell(
    'Nobody states how much the model can hold, so 128,000 tokens are assumed. Where that is wrong, write `contextWindow` into the settings.',
  );
  return undefined;
}

/** Whether the settings are to be written: a small real request with a tool went well enough. */
async function isTried(
  provider: ConfiguredProvider,
  model: string,
  questions: InitQuestions,
): Promise<boolean> {
  const { tryModel } = await import('./try-model.ts');
  let trial: Trial;
  try {
    trial = await questions.during(`Asking ${model} to use a tool`, tryModel(provider, model));
  } catch (caught) {
    const error = toProxyError(caught);
    if (error.code === 'internal') throw caught;
    questions.tell([error.message, error.parts.hint].filter(Boolean).join('\n'));
    return questions.goOn('It did not answer. Write the settings all the same?');
  }
  const { seconds, hasCalled, text, promptTokens } = trial;
  const counted = promptTokens === undefined ? '' : `, ${grouped(promptTokens)} tokens`;
  if (hasCalled) {
    print(`${model} answered in ${seconds.toFixed(1)} s and used the tool${counted}.\n`);
    return true;
  }
  questions.tell(
    `${model} answered in ${seconds.toFixed(1)} s, but did not use the tool that it was told to use${text === '' ? '' : `: "${text.slice(0, 80)}"`}. It could not look anything up.`,
  );
  return questions.goOn('Write the settings all the same?');
}

function writeKey(path: string, key: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `${key}\n`, { mode: 0o600 });
  // The mode above is that of a new file only.
  chmodSync(path, 0o600);
  print(`${shortPath(path)}: the key, readable by you alone.\n`);
}

async function write(
  file: { readonly path: string; readonly text?: string },
  text: string,
): Promise<void> {
  if (text === file.text) {
    print(`${shortPath(file.path)}: nothing to change.\n`);
    return;
  }
  print(`${shortPath(file.path)}\n${textDiff(file.text ?? '', text)}`);
  await writeConfigFile(file, text, backupPath(file.path));
  print('Written.\n');
}

async function tellNext(): Promise<void> {
  const { loadFromFlags } = await import('./setting-flags.ts');
  const loaded = loadFromFlags({});
  for (const warning of loaded.warnings) printProse(`${warning}\n`);
  const own = Object.keys(machineOf().env).filter((name) => /^RLM_(UPSTREAM_|DEFAULT_)/.test(name));
  if (own.length > 0)
    printProse(`Set in this shell, and before what the file says: ${own.join(', ')}\n`);
  const running = await knownServer(loaded.config);
  const stop =
    running === undefined
      ? ''
      : '      rlm-opencode stop          (the server that runs has the old settings)\n';
  print(`Next:\n${stop}      rlm-opencode opencode      (or codex, claude, qwen, kilo)\n`);
}

import { isObject } from '../wire/json.ts';
import { checkObject, type EditOutcome } from './config-text.ts';
import { at, insertElement, removeMember, setValue, valueOf } from './jsonc-edit.ts';

/** A provider as it is to stand in our own settings file. */
export interface ProviderChoice {
  /** Its name there; that of a preset stands for its address. */
  readonly id: string;
  /** Absent for a preset. */
  readonly baseURL?: string | undefined;
  /** The variable that holds the key. */
  readonly apiKeyEnv?: string | undefined;
  /** The file that holds it. */
  readonly apiKeyFile?: string | undefined;
  /** The model that answers; absent as long as it is not known. */
  readonly model?: string | undefined;
  /** Whether the model is to be named: those of a preset are known. */
  readonly isNewModel?: boolean | undefined;
  /** Tokens; absent where nobody states it. */
  readonly contextWindowTokens?: number | undefined;
}

/** What a settings file begins as. */
const fresh =
  '// Settings of rlm-opencode. `rlm-opencode config` shows all that there are.\n{\n}\n';

/**
 * Puts a provider and the model that answers into the text of our settings file. Comments and all
 * other settings stay; so does what the provider's entry says beside this.
 * @param text Absent for a file that does not exist
 */
export function withProvider(text: string | undefined, choice: ProviderChoice): EditOutcome {
  const original = text ?? fresh;
  const checked = checkObject(original);
  if (!checked.ok) return checked;
  const { providers } = valueOf(original);
  if (providers !== undefined && !isObject(providers))
    return { ok: false, fault: 'its "providers" is not an object' };
  const { id, baseURL, apiKeyEnv, apiKeyFile, model } = choice;
  const place = ['providers', id];
  let edited = original;
  if (model !== undefined) edited = setValue(edited, ['defaultModel'], `${id}.${model}`);
  const wanted = { baseURL, apiKeyEnv, apiKeyFile };
  if (!isObject(at(valueOf(edited), place))) {
    edited = setValue(edited, place, { ...defined(wanted), ...modelsOf(choice) });
    return { ok: true, text: edited };
  }
  // One key counts: the one that was chosen now.
  const others = ['apiKey', 'apiKeyEnv', 'apiKeyFile'].filter((name) => !(name in defined(wanted)));
  if (others.length < 3) {
    for (const name of others) edited = removeMember(edited, [...place, name]);
  }
  for (const [name, value] of Object.entries(defined(wanted)))
    edited = setValue(edited, [...place, name], value);
  return { ok: true, text: withModel(edited, place, choice) };
}

/** The model in the list of an entry that is there. */
function withModel(text: string, place: readonly string[], choice: ProviderChoice): string {
  const { models } = modelsOf(choice);
  if (models === undefined) return text;
  const path = [...place, 'models'];
  const standing = at(valueOf(text), path);
  if (!Array.isArray(standing)) return setValue(text, path, models);
  const isThere = standing.some(
    (named) => (isObject(named) ? named['id'] : named) === choice.model,
  );
  return isThere ? text : insertElement(text, path, models[0]);
}

function modelsOf(choice: ProviderChoice): { readonly models?: readonly unknown[] } {
  const { model, isNewModel, contextWindowTokens: contextWindow } = choice;
  if (model === undefined || isNewModel !== true) return {};
  return { models: [contextWindow === undefined ? model : { id: model, contextWindow }] };
}

function defined(members: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

import { z } from 'zod';
import { captureSettings, memorySettings, stripSettings, windowSettings } from './chat-settings.ts';
import { dataDirSetting } from './data-dir.ts';
import {
  dayLimitSettings,
  sandboxSettings,
  storeSettings,
  toolSettings,
  turnLimitSettings,
} from './limit-settings.ts';
import { patienceSettings, providerSettings, upstreamSettings } from './provider-settings.ts';
import { serverSettings } from './server-settings.ts';
import { optionalText, type SettingMeta } from './setting.ts';
import { traceSettings } from './trace-settings.ts';

/**
 * Every setting there is. Each leaf says its names and what it does; the README's table and the
 * flags are made from it.
 */
export const settingsSchema = z.strictObject({
  $schema: z.string().optional(),
  upstream: upstreamSettings.prefault({}),
  providers: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9_-]*$/), providerSettings)
    .default({})
    .meta({
      description: 'Several upstreams by name; model ids are then `<name>.<model>`.',
    }),
  defaultModel: optionalText({
    env: 'RLM_DEFAULT_MODEL',
    description:
      'The model behind the alias, as `<provider>.<model>`. Absent: the first one configured.',
  }),
  subModel: optionalText({
    env: 'RLM_SUB_MODEL',
    description: 'The model that `rlm_query` and `llm_query` ask. Absent: the one that asks.',
  }),
  patience: patienceSettings.prefault({}),
  server: serverSettings.prefault({}),
  dataDir: optionalText(dataDirSetting),
  logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info').meta({
    env: 'RLM_LOG_LEVEL',
    flag: 'log-level',
    description:
      'How much is logged on stderr: `silent`, `error`, `warn`, `info`, `debug`. Never texts or keys.',
  }),
  trace: traceSettings.prefault({}),
  inject: z.enum(['auto', 'always', 'never']).default('auto').meta({
    env: 'RLM_INJECT',
    description:
      'When the tools are offered to the model: `auto` (one short tool where the project has texts of earlier work, all six with its first call or with the first stub), `always`, `never`.',
  }),
  progress: z.enum(['reasoning', 'off']).default('reasoning').meta({
    env: 'RLM_PROGRESS',
    description: 'Hidden steps shown to the client as `reasoning`, or `off`.',
  }),
  quotes: z.enum(['check', 'off']).default('check').meta({
    env: 'RLM_QUOTES',
    description:
      'What an answer quotes from stored texts is looked up while it streams (`check`; told in `usage.rlm.quotes`), or `off`.',
  }),
  capture: captureSettings.prefault({}),
  strip: stripSettings.prefault({}),
  window: windowSettings.prefault({}),
  memory: memorySettings.prefault({}),
  turn: turnLimitSettings.prefault({}),
  day: dayLimitSettings.prefault({}),
  tools: toolSettings.prefault({}),
  sandbox: sandboxSettings.prefault({}),
  store: storeSettings.prefault({}),
});

/** All settings with their defaults filled in. */
export type Settings = z.output<typeof settingsSchema>;

/** How a setting is spelled in the environment or on the command line. */
type SettingKind = 'text' | 'number' | 'list' | 'object';

/** One setting, found in the schema. */
export interface SettingLeaf extends SettingMeta {
  /** Members from the root, as in `['server', 'port']`. */
  readonly path: readonly string[];
  /** The path joined with dots. */
  readonly key: string;
  readonly kind: SettingKind;
  /** As the schema gives it; `undefined` where there is none. */
  readonly defaultValue: unknown;
}

/** The settings in the order of the schema. */
export const settingLeaves: readonly SettingLeaf[] = leavesOf(settingsSchema, []);

function leavesOf(schema: z.ZodObject, path: readonly string[]): SettingLeaf[] {
  return Object.entries(schema.shape).flatMap(([name, member]) => {
    const inner = innermost(member as z.ZodType);
    const memberPath = [...path, name];
    if (inner instanceof z.ZodObject) return leavesOf(inner, memberPath);
    const meta = z.globalRegistry.get(member as z.ZodType) as SettingMeta | undefined;
    if (meta === undefined) return [];
    return [
      {
        ...meta,
        path: memberPath,
        key: memberPath.join('.'),
        kind: kindOf(inner),
        defaultValue: (member as z.ZodType).safeParse(undefined).data,
      },
    ];
  });
}

function innermost(schema: z.ZodType): z.ZodType {
  const wrapped =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional;
  return wrapped ? innermost(schema.unwrap() as z.ZodType) : schema;
}

function kindOf(schema: z.ZodType): SettingKind {
  if (schema instanceof z.ZodNumber) return 'number';
  if (schema instanceof z.ZodArray) return 'list';
  if (schema instanceof z.ZodRecord) return 'object';
  return 'text';
}

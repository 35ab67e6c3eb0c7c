import { z } from 'zod';

/** What is known of a setting beside its type. */
export interface SettingMeta {
  /** One sentence for the README, `config` and `--help`. */
  readonly description: string;
  /** Environment variable; absent where only the file can say it (lists of objects). */
  readonly env?: string;
  /** Long flag of `serve`. */
  readonly flag?: string;
  /** `ms`, `bytes`, `characters`, `tokens`, ... */
  readonly unit?: string;
  /** Never shown, only whether it is set. */
  readonly secret?: boolean;
}

/** A whole number from `min` on, with its default. */
export function count(defaultValue: number, min: number, meta: SettingMeta) {
  return z
    .int()
    .min(min)
    .default(defaultValue)
    .meta({ ...meta });
}

/** A whole number from `min` on that may be absent: no such limit. */
export function optionalCount(min: number, meta: SettingMeta) {
  return z
    .int()
    .min(min)
    .optional()
    .meta({ ...meta });
}

/** A list of texts, given as `a,b` in the environment. */
export function texts(meta: SettingMeta) {
  return z
    .array(z.string().min(1))
    .default([])
    .meta({ ...meta });
}

/** A text that may be absent. */
export function optionalText(meta: SettingMeta) {
  return z
    .string()
    .min(1)
    .optional()
    .meta({ ...meta });
}

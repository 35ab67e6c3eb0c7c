import { shownAddress } from '../upstream/endpoint.ts';
import type { LoadedConfig } from './load.ts';
import type { Config } from './resolve.ts';
import { settingLeaves } from './schema.ts';

/** A setting as people see it. */
export interface ShownSetting {
  readonly key: string;
  /** Absent where nothing is set. A secret is replaced by words. */
  readonly value?: unknown;
  /** `flag --port`, `environment RLM_PORT`, `file <path>`, `default`. */
  readonly source: string;
  /** The same in the server that runs, where it has another value. */
  readonly server?: { readonly value?: unknown; readonly source?: string };
}

/** Stands where a secret is set. */
const maskedValue = '(set, not shown)';

/** Members of free-form objects that may hold a secret. */
const secretMembers: ReadonlySet<string> = new Set(['apiKey', 'apiToken', 'headers', 'url', 'key']);

/** Every setting with its value and source, without secrets. */
export function shownSettings({ settings, sources }: LoadedConfig): readonly ShownSetting[] {
  return settingLeaves.map((leaf) => {
    const value = leaf.path.reduce<unknown>(
      (holder, name) => (holder as Record<string, unknown> | undefined)?.[name],
      settings,
    );
    const { kind, name } = sources.get(leaf.key) ?? { kind: 'default', name: '' };
    const source = kind === 'default' ? kind : `${kind} ${name}`;
    if (value === undefined) return { key: leaf.key, source };
    return { key: leaf.key, value: leaf.secret === true ? maskedValue : masked(value), source };
  });
}

/** The whole configuration as it came out, without secrets: to be looked at later. */
export function maskedConfig(config: Config): unknown {
  return masked(config);
}

/**
 * The same as lines `key = value  (source)`, in columns. What is nobody's choice has no source.
 * @param usual What holds where nothing is set, by key
 */
export function settingLines(
  shown: readonly ShownSetting[],
  usual: Readonly<Record<string, string>> = {},
): string {
  const keyWidth = Math.max(...shown.map(({ key }) => key.length));
  return shown
    .map(({ key, value, source, server }) => {
      const said = value === undefined ? (usual[key] ?? valueText(value)) : valueText(value);
      const line = `${key.padEnd(keyWidth)} = ${said}${source === 'default' ? '' : `  (${source})`}`;
      const running =
        server === undefined
          ? ''
          : `\n${' '.repeat(keyWidth)}   the running server: ${valueText(server.value)}  (${server.source})`;
      return `${line}${running}\n`;
    })
    .join('');
}

function valueText(value: unknown): string {
  if (value === undefined) return '(not set)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function masked(value: unknown): unknown {
  if (typeof value === 'string') return /^\w+:\/\//.test(value) ? shownAddress(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(masked);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [name, secretMembers.has(name) ? hide(member) : masked(member)]),
  );
}

function hide(member: unknown): unknown {
  if (typeof member !== 'object' || member === null) return maskedValue;
  return Object.fromEntries(Object.keys(member).map((name) => [name, maskedValue]));
}

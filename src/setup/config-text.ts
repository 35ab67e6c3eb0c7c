import { isDeepStrictEqual } from 'node:util';
import { findNodeAtLocation, type Node, type ParseError, parseTree } from 'jsonc-parser';
import { jsonFaultText } from '../base/json-faults.ts';
import { isObject } from '../wire/json.ts';
import {
  at,
  removeMember,
  setValue,
  valueOf,
  withEarlierLayout,
  withoutMark,
} from './jsonc-edit.ts';
import {
  nativeProviderEntry,
  type ProviderEntry,
  type ProviderFacts,
  providerEntry,
  providerId,
} from './provider-entry.ts';
import { coreModelId } from '../wire/core-model.ts';

/** The edited text, or why the file is left alone. */
export type EditOutcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly fault: string };

/** What an installation writes. */
export interface Installation {
  readonly facts: ProviderFacts;
  /**
   * Also lift OpenCode's own cut of tool outputs. It holds for all providers, so only on request.
   */
  readonly liftToolOutput: boolean;
}

/**
 * A tool output may then be 20 MB: more than any log one would want to keep, less than what stalls
 * OpenCode.
 */
const liftedToolOutput = { max_lines: 1_000_000, max_bytes: 20_000_000 } as const;

/** Where providers stand: for both majors, and natively for 2.x. */
const sections: readonly string[] = ['provider', 'providers'];

/** What an OpenCode configuration begins as. */
export const freshText = '{\n  "$schema": "https://opencode.ai/config.json"\n}\n';

/**
 * Puts our provider into the text of an OpenCode configuration (JSON with comments), or brings it
 * up to date. Everything else stays: comments, order, indentation, line ends, byte order mark, and
 * what the user added to our block. Idempotent.
 * @param text Absent for a file that does not exist
 */
export function installProvider(text: string | undefined, wanted: Installation): EditOutcome {
  const original = text ?? freshText;
  const checked = checkConfig(original);
  if (!checked.ok) return checked;
  const entry = hasBlock(checked.root, 'providers')
    ? nativeProviderEntry(wanted.facts)
    : providerEntry(wanted.facts);
  let edited = setBlock(original, entry);
  if (wanted.liftToolOutput) {
    for (const [name, value] of Object.entries(liftedToolOutput)) {
      edited = setValue(edited, ['tool_output', name], value);
    }
  }
  return verified(original, edited, wanted.liftToolOutput ? ['tool_output'] : []);
}

/**
 * Takes our provider out again, and what {@link installProvider} lifted if it still stands as it
 * was set.
 * @param before The text before the first installation, where there was one
 */
export function uninstallProvider(text: string, before?: string): EditOutcome {
  const checked = checkConfig(text);
  if (!checked.ok) return checked;
  let edited = text;
  for (const section of sections) {
    if (hasBlock(checked.root, section)) edited = removeMember(edited, [section, providerId]);
  }
  const lifted = isDeepStrictEqual(valueOf(text)['tool_output'], liftedToolOutput);
  if (lifted) edited = removeMember(edited, ['tool_output']);
  if (before !== undefined && checkConfig(before).ok) {
    const places = sections.map((section) => [section, providerId]);
    edited = withEarlierLayout(edited, before, places);
  }
  return verified(text, edited, lifted ? ['tool_output'] : []);
}

/** Our block as it stands, if it does; `undefined` also for a text that cannot be read. */
export function installedBlock(text: string): Readonly<Record<string, unknown>> | undefined {
  const checked = checkConfig(text);
  if (!checked.ok) return undefined;
  const value = valueOf(text);
  const section = hasBlock(checked.root, 'providers') ? value['providers'] : value['provider'];
  return (section as Record<string, Record<string, unknown>> | undefined)?.[providerId];
}

/** The limits of our model as they stand in a text, tokens. */
export function installedLimits(
  text: string,
): { readonly contextWindowTokens: number; readonly maxOutputTokens: number } | undefined {
  const limit = at(installedBlock(text), ['models', coreModelId, 'limit']);
  if (!isObject(limit)) return undefined;
  const { context, output } = limit;
  return typeof context === 'number' && typeof output === 'number'
    ? { contextWindowTokens: context, maxOutputTokens: output }
    : undefined;
}

/**
 * Whether a text is exactly what an installation makes of another one, so that taking it out may
 * put that one back byte for byte.
 * @param before Absent: of no file at all
 */
export function isInstallationOf(text: string, before: string | undefined): boolean {
  const block = installedBlock(text);
  if (block === undefined) return false;
  const settings = block['options'] ?? block['settings'];
  const limit = at(block, ['models', coreModelId, 'limit']);
  const facts = {
    baseURL: at(settings, ['baseURL']),
    apiKey: at(settings, ['apiKey']),
    contextWindowTokens: at(limit, ['context']),
    maxOutputTokens: at(limit, ['output']),
  } as ProviderFacts;
  return [false, true].some((liftToolOutput) => {
    const outcome = installProvider(before, { facts, liftToolOutput });
    return outcome.ok && outcome.text === text;
  });
}

/** What to paste by hand where the file cannot be edited. */
export function blockToPaste(facts: ProviderFacts): string {
  const { section, block } = providerEntry(facts);
  return JSON.stringify({ [section]: { [providerId]: block } }, null, 2);
}

type Checked =
  | { readonly ok: true; readonly root: Node | undefined }
  | { readonly ok: false; readonly fault: string };

/** Only what can be understood without doubt is edited. */
function checkConfig(text: string): Checked {
  const checked = checkObject(text);
  if (!checked.ok || checked.root === undefined) return checked;
  for (const section of [...sections, 'tool_output']) {
    const members = (checked.root.children ?? []).filter(
      (child) => child.children?.[0]?.value === section,
    );
    if (members.length > 1) return { ok: false, fault: `it has "${section}" twice` };
    const [member] = members;
    if (member !== undefined && member.children?.[1]?.type !== 'object') {
      return { ok: false, fault: `its "${section}" is not an object` };
    }
  }
  return checked;
}

/** Whether a text is an object of JSON with comments, or nothing at all; else what it is not. */
export function checkObject(text: string): Checked {
  const body = withoutMark(text);
  const errors: ParseError[] = [];
  const root = parseTree(body, errors, { allowTrailingComma: true, allowEmptyContent: true });
  const [error] = errors;
  if (error !== undefined) {
    const before = body.slice(0, error.offset).split('\n');
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
    return {
      ok: false,
      fault: `it is not valid JSON: ${jsonFaultText(error.error)} (${place})`,
    };
  }
  if (root !== undefined && root.type !== 'object')
    return { ok: false, fault: 'it does not hold a JSON object' };
  return { ok: true, root };
}

function hasBlock(root: Node | undefined, section: string): boolean {
  return root !== undefined && findNodeAtLocation(root, [section, providerId]) !== undefined;
}

function setBlock(text: string, entry: ProviderEntry): string {
  const path = [entry.section, providerId];
  const standing = (valueOf(text)[entry.section] as Record<string, unknown> | undefined)?.[
    providerId
  ];
  if (!isObject(standing)) return setValue(text, path, entry.block);
  let edited = text;
  for (const [member, value] of leavesOf(entry.block)) {
    const owned = entry.ownedPaths.some((own) => isDeepStrictEqual([...own], member));
    if (owned || at(standing, member) === undefined)
      edited = setValue(edited, [...path, ...member], value);
  }
  return edited;
}

/** Whatever the text looks like: everything that is not ours must have the same value as before. */
function verified(before: string, after: string, changed: readonly string[]): EditOutcome {
  const rest = (text: string): unknown => {
    const members = Object.entries(valueOf(text)).flatMap(([name, member]) => {
      if (changed.includes(name)) return [];
      if (!sections.includes(name) || !isObject(member)) return [[name, member]];
      const { [providerId]: _, ...others } = member;
      return Object.keys(others).length === 0 ? [] : [[name, others]];
    });
    return Object.fromEntries(members) as unknown;
  };
  return checkConfig(after).ok && isDeepStrictEqual(rest(before), rest(after))
    ? { ok: true, text: after }
    : { ok: false, fault: 'its form is one that cannot be edited safely' };
}

function leavesOf(value: Readonly<Record<string, unknown>>): [string[], unknown][] {
  return Object.entries(value).flatMap(([name, member]): [string[], unknown][] =>
    isObject(member)
      ? leavesOf(member).map(([path, leaf]) => [[name, ...path], leaf])
      : [[[name], member]],
  );
}

import { isDeepStrictEqual } from 'node:util';
import { isObject, type JsonObject, parseJson } from '../wire/json.ts';
import type { Uninstalled } from './client-setup.ts';
import { checkObject, type EditOutcome } from './config-text.ts';
import {
  at,
  insertElement,
  type MemberPath,
  removeMember,
  setValue,
  valueOf,
  withEarlierLayout,
} from './jsonc-edit.ts';

/** What a file begins as. */
export const emptyText = '{\n}\n';

/** Where a value of ours stands in a configuration of JSON. */
export interface OwnPlace {
  /** Of an element, its list. */
  readonly path: readonly string[];
  /** For an element of a list: which of the elements is ours. */
  readonly isOurs?: (element: unknown) => boolean;
  /** Which values there are ours; absent: whatever stands there is. */
  readonly is?: (value: unknown) => boolean;
}

/** The value with its place. */
export interface OwnMember extends OwnPlace {
  readonly value: unknown;
  /** A value that stands there already is left as it is. */
  readonly isOnlyNew?: boolean;
}

/**
 * Sets members in a text of JSON with comments; a list gets an element of ours, or its element is
 * brought up to date. All other values stay what they are. Idempotent.
 */
export function installMembers(original: string, members: readonly OwnMember[]): EditOutcome {
  const checked = checkObject(original);
  if (!checked.ok) return checked;
  const odd = members.map((member) => oddHolder(valueOf(original), member)).find((one) => one);
  if (odd !== undefined) return { ok: false, fault: odd };
  let edited = original;
  for (const member of members) edited = setMember(edited, member);
  const outcome = verified(original, edited, members);
  const isRead = members.every(
    (member) => member.isOnlyNew === true || holds(memberIn(edited, member), member.value),
  );
  // A name that stands twice: another one counts than the one that is edited.
  return outcome.ok && !isRead ? { ok: false, fault: unsafe } : outcome;
}

/**
 * Takes members out again; one that had another value before gets that back. A file that then holds
 * nothing, and was not there before, is to be removed.
 * @param before The text before the first installation, where there was one
 * @param fresh What a file begins as
 */
export function uninstallMembers(
  text: string,
  { before, fresh }: { readonly before: string | undefined; readonly fresh: string },
  members: readonly OwnPlace[],
): Uninstalled {
  const checked = checkObject(text);
  if (!checked.ok) return checked;
  const isReadable = before !== undefined && checkObject(before).ok;
  const earlier = isReadable ? valueOf(before) : {};
  let edited = text;
  for (const member of members) {
    const place = placeOf(valueOf(edited), member);
    if (place === undefined || member.is?.(standingIn(valueOf(edited), member)) === false) continue;
    const old = standingIn(earlier, member);
    edited = old === undefined ? removeMember(edited, place) : setValue(edited, place, old);
    edited = withEmptyHolders(edited, earlier, member.path);
  }
  if (before !== undefined && isReadable)
    edited = withEarlierLayout(
      edited,
      before,
      members.map(({ path }) => path),
    );
  const outcome = verified(text, edited, members);
  if (!outcome.ok) return outcome;
  // A comment is the user's: such a text is no plain JSON.
  const isEmpty = isDeepStrictEqual(pruned(parseJson(edited)), pruned(valueOf(fresh)));
  return { ok: true, text: before === undefined && isEmpty ? undefined : edited };
}

/** With the objects around a member that held nothing before: they have gone with it. */
function withEmptyHolders(text: string, earlier: JsonObject, path: readonly string[]): string {
  for (let length = path.length - 1; length > 0; length -= 1) {
    const holder = path.slice(0, length);
    const held = at(earlier, holder);
    if (isObject(held) && Object.keys(held).length === 0 && at(valueOf(text), holder) === undefined)
      return setValue(text, holder, {});
  }
  return text;
}

/** A value without members that are empty objects. */
function pruned(value: unknown): unknown {
  if (!isObject(value)) return value;
  const members = Object.entries(value).map(([name, member]) => [name, pruned(member)] as const);
  return Object.fromEntries(
    members.filter(([, member]) => !isObject(member) || Object.keys(member).length > 0),
  );
}

/** What stands at our place in a text; undefined where nothing does or it cannot be read. */
export function memberIn(text: string, member: OwnPlace): unknown {
  return checkObject(text).ok ? standingIn(valueOf(text), member) : undefined;
}

/** The members as JSON, to be pasted by hand. */
export function membersToPaste(members: readonly OwnMember[]): string {
  let text = '{}';
  for (const member of members) text = setMember(text, member);
  return JSON.stringify(valueOf(text), null, 2);
}

function setMember(text: string, member: OwnMember): string {
  const { path, value, isOurs, isOnlyNew } = member;
  const place = placeOf(valueOf(text), member);
  if (isOnlyNew === true && place !== undefined) return text;
  if (isOurs === undefined) return setValue(text, path, value);
  if (at(valueOf(text), path) === undefined) return setValue(text, path, [value]);
  if (place === undefined) return insertElement(text, path, value);
  // What the user has added to our element stays.
  let edited = text;
  for (const [name, own] of Object.entries(isObject(value) ? value : {}))
    edited = setValue(edited, [...place, name], own);
  return edited;
}

/** Whether a value is the one wanted, perhaps with more members. */
function holds(standing: unknown, wanted: unknown): boolean {
  if (!isObject(wanted) || !isObject(standing)) return isDeepStrictEqual(standing, wanted);
  return Object.entries(wanted).every(([name, member]) => holds(standing[name], member));
}

/** Where our value stands, if it does. */
function placeOf(value: unknown, { path, isOurs }: OwnPlace): MemberPath | undefined {
  const standing = at(value, path);
  if (isOurs === undefined) return standing === undefined ? undefined : path;
  const index = Array.isArray(standing) ? standing.findIndex(isOurs) : -1;
  return index < 0 ? undefined : [...path, index];
}

function standingIn(value: unknown, { path, isOurs }: OwnPlace): unknown {
  const standing = at(value, path);
  return isOurs === undefined ? standing : elementIn(standing, isOurs);
}

function elementIn(list: unknown, isOurs: (element: unknown) => boolean): unknown {
  return Array.isArray(list) ? (list as readonly unknown[]).find(isOurs) : undefined;
}

/** What stands in the way of a member: something that is no object, or no list. */
function oddHolder(value: unknown, { path, isOurs }: OwnMember): string | undefined {
  for (let length = 1; length <= path.length; length += 1) {
    const held = at(value, path.slice(0, length));
    if (held === undefined) return undefined;
    const isLast = length === path.length;
    const name = path.slice(0, length).join('.');
    if (isLast && isOurs !== undefined && !Array.isArray(held)) return `its "${name}" is no list`;
    if (!isLast && !isObject(held)) return `its "${name}" is not an object`;
  }
  return undefined;
}

const unsafe = 'its form is one that cannot be edited safely';

/** Whatever the text looks like: everything that is not ours must have the same value as before. */
function verified(before: string, after: string, members: readonly OwnPlace[]): EditOutcome {
  const rest = (text: string): unknown => {
    let value: unknown = valueOf(text);
    for (const member of members) value = withoutMember(value, member.path, member.isOurs);
    return value;
  };
  return checkObject(after).ok && isDeepStrictEqual(rest(before), rest(after))
    ? { ok: true, text: after }
    : { ok: false, fault: unsafe };
}

/** A value without a member of ours, and without what held nothing else. */
function withoutMember(
  value: unknown,
  path: readonly string[],
  isOurs: OwnMember['isOurs'],
): unknown {
  const [name, ...inner] = path;
  if (name === undefined) {
    const others =
      Array.isArray(value) && isOurs !== undefined
        ? value.filter((element) => !isOurs(element))
        : [];
    return others.length === 0 ? undefined : others;
  }
  if (!isObject(value)) return value;
  const { [name]: held, ...others } = value;
  const left = held === undefined ? undefined : withoutMember(held, inner, isOurs);
  if (left === undefined) return Object.keys(others).length === 0 ? undefined : others;
  return { ...others, [name]: left };
}

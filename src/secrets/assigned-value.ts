import type { TextRuns } from './text-runs.ts';
import type { SecretKind } from './token-shapes.ts';

/** A stretch of a text that holds a secret, UTF-16 code units. */
export interface FoundSecret {
  readonly kind: SecretKind;
  readonly start: number;
  readonly end: number;
}

/**
 * Names of things that hold a secret, as they stand in code and settings, in lower case. `_` and
 * `-` in them may be missing.
 */
export const secretNames = [
  'api_key',
  'access_key',
  'auth_key',
  'account_key',
  'encryption_key',
  'signing_key',
  'secret',
  'token',
  'password',
  'passwd',
  'passphrase',
  'credential',
  'authorization',
] as const;

/** Behind a name: the rest of it, what closes it, `=` or `:`, what opens the value. */
const assignment =
  /[\w-]{0,24}(?:\\{0,3}["'`])?\]?[ \t]{0,8}(:=|=>|[=:])[ \t]{0,8}(\\{0,3}["'`])?((?:Bearer|bearer|Basic|basic|Token|token|ApiKey) )?/y;
const maxValueChars = 256;

/** A value behind a name, if it looks like a secret. @param nameEnd Where the name ends */
export function assignedSecret(
  runs: TextRuns,
  name: string,
  nameEnd: number,
): FoundSecret | undefined {
  const { text } = runs;
  const pattern = assignment;
  pattern.lastIndex = nameEnd;
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const [, sign, opening, scheme] = match;
  const isQuoted = opening !== undefined;
  const start = pattern.lastIndex;
  const end = runs.endOf(isQuoted ? 'value' : 'plain', start, 0);
  if (end - start < 8 || end - start > maxValueChars) return undefined;
  if (isQuoted && !/["'`\\]/.test(text.charAt(end))) return undefined;
  const value = text.slice(start, end);
  // A call, an index, a template: code that makes the value.
  if (!isQuoted && /[([{<$*]/.test(text.charAt(end))) return undefined;
  if (isPlaceholder(value)) return undefined;
  if (/^auth/i.test(name) && scheme !== undefined) {
    return value.length >= 16 && /\d|[A-Z].*[a-z]/.test(value)
      ? { kind: 'authorization header', start, end }
      : undefined;
  }
  if (/^pass/i.test(name)) {
    const isWord = !isQuoted && (sign !== '=' || /\.\w*[a-z]$/i.test(value));
    return !isWord && looksChosen(value) ? { kind: 'assigned password', start, end } : undefined;
  }
  return looksRandom(value) ? { kind: 'assigned key', start, end } : undefined;
}

const userInAddress =
  /(?<user>[^\s:/@"'<>\\?#`|]{0,100}):(?<password>[^\s/@"'<>\\`|]{3,200})@[A-Za-z0-9[]/y;

/** A password in an address. @param slashesEnd Where `://` ends */
export function secretInAddress(text: string, slashesEnd: number): FoundSecret | undefined {
  const pattern = userInAddress;
  pattern.lastIndex = slashesEnd;
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const { user = '', password = '' } = match.groups as Record<string, string>;
  const kind = 'password in an address';
  if (password === 'x-oauth-basic') {
    const end = slashesEnd + user.length;
    return isPlaceholder(user) ? undefined : { kind, start: slashesEnd, end };
  }
  if (isPlaceholder(password) || password === user || password.length < 4) return undefined;
  const start = slashesEnd + user.length + 1;
  return { kind, start, end: start + password.length };
}

const placeholders =
  /[${}<>*]|^%\w+%?$|\.\.\.|example|sample|dummy|fake|mock|test|change.?me|placeholder|your|x{4}|redacted|#{4}|12345|abcdef|^(.)\1*$/i;
const commonWords =
  /^(?:my)?(?:passwords?|passwd|passphrase|pass|pwd|secret|token|root|admin|user(?:name)?|guest|postgres|mysql|redis|rabbitmq|mongo(?:db)?)$/i;

/** Whether a value stands for another one, as in documentation and templates. */
function isPlaceholder(value: string): boolean {
  return placeholders.test(value) || commonWords.test(value);
}

const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;
/**
 * So many pairs of neighbours in a random text are of two kinds (capital, small, digit), at least,
 * those of a capital and a small letter apart: of letters and digits 0.44 are, of hexadecimal
 * digits 0.47; of names in code 0.15.
 */
const minTurns = 0.22;
/** Bits a character of a text of 20 that is random; hexadecimal digits have 4 at most. */
const minBits = 3;

function looksRandom(value: string): boolean {
  if (value.length < 20 || !/^[\w+/=.~-]+$/.test(value) || uuid.test(value)) return false;
  if (!/\d/.test(value) || !/[a-z]/i.test(value)) return false;
  return turnsIn(value) >= minTurns * value.length && bitsPerChar(value) >= minBits;
}

/** A password that people choose: letters, and digits or signs among them. */
function looksChosen(value: string): boolean {
  if (value.length > 100 || !/[a-z]/i.test(value) || !/\d/.test(value)) return false;
  return bitsPerChar(value) >= 2.5 && turnsIn(value) >= 2 && !/[/\\;,]|::|\(/.test(value);
}

function turnsIn(value: string): number {
  let turns = 0;
  for (let at = 1; at < value.length; at += 1) {
    const [before, now] = [classOf(value.charCodeAt(at - 1)), classOf(value.charCodeAt(at))];
    if (before !== now && before !== 0 && now !== 0 && !(before === 1 && now === 2)) turns += 1;
  }
  return turns;
}

/** 1 for capitals, 2 for small letters, 3 for digits, 0 for others. */
function classOf(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return 3;
  if (unit >= 0x41 && unit <= 0x5a) return 1;
  return unit >= 0x61 && unit <= 0x7a ? 2 : 0;
}

function bitsPerChar(value: string): number {
  const counts = new Map<string, number>();
  for (const char of value) counts.set(char, (counts.get(char) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) {
    bits -= (count / value.length) * Math.log2(count / value.length);
  }
  return bits;
}

/**
 * Shorter texts are names that local servers want for a key (`ollama`, `x`, `EMPTY`): cut out, they
 * would only spoil words.
 */
const minSecretChars = 6;
/** A text of one kind of letters up to this length is a word, as in `lm-studio` or `not-needed`. */
const maxWordChars = 12;
/**
 * A text this long is cut out wherever it stands; a shorter one only where no letter or digit
 * touches it.
 */
const surelySecretChars = 16;

/**
 * What must not be shown of a provider's settings: the key, the values of configured headers, and
 * user, password and query of its address.
 */
export function secretsOf(provider: {
  readonly baseURL: string;
  readonly apiKey?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}): readonly string[] {
  const url = new URL(provider.baseURL);
  const texts = [
    provider.apiKey ?? '',
    ...Object.values(provider.headers),
    url.password,
    decoded(url.password),
    ...[...url.searchParams].map(([, value]) => value),
    ...url.search.split(/[?&]/).map((pair) => pair.slice(pair.indexOf('=') + 1)),
  ];
  return [...new Set(texts)].filter(isSecret).toSorted((a, b) => b.length - a.length);
}

/**
 * The text with every secret in it replaced by `[key]`. @param secrets As {@link secretsOf} gives
 * them
 */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((left, secret) => replaceAlone(left, secret), text);
}

/** A percent-encoded part of an address as it was meant. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}

function isSecret(text: string): boolean {
  const isWord = text.length <= maxWordChars && /^(?!sk-)([a-z_-]*|[A-Z_-]*)$/.test(text);
  return text.length >= minSecretChars && !isWord;
}

function replaceAlone(text: string, secret: string): string {
  let replaced = '';
  let from = 0;
  for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, from)) {
    const end = at + secret.length;
    const touches = /[a-z\d]/i.test((text[at - 1] ?? '') + (text[end] ?? ''));
    const isCut = secret.length >= surelySecretChars || !touches;
    replaced += text.slice(from, at) + (isCut ? '[key]' : secret);
    from = end;
  }
  return replaced + text.slice(from);
}

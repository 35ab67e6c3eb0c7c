import type { Entry, SessionStore } from '../store/types.ts';
import { isObject } from '../wire/json.ts';
import type { ContentPart, UpstreamMessage } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';

/**
 * A part whose JSON is shorter stands in the text of its conversation as it is, characters: an
 * address is one.
 */
const maxInlineLength = 2_000;

/** A part of a message that is no text and is kept beside the texts. */
export interface KeptPart {
  /** `image`, `audio`, … as the note calls it. */
  readonly noun: string;
  readonly entry: Entry;
}

/**
 * Keeps the parts that are no text of messages that leave a prompt: the bytes as they are (what a
 * data URL holds, else the part's JSON) beside the texts, and an entry that says so, so that no
 * search meets them. The same bytes are kept once.
 * @throws ProxyError what the store throws
 */
export async function keepParts(
  messages: readonly UpstreamMessage[],
  { store, chatId }: { readonly store: SessionStore; readonly chatId: string },
): Promise<ReadonlyMap<ContentPart, KeptPart>> {
  const kept = new Map<ContentPart, KeptPart>();
  for (const message of messages) {
    const { content } = parsed(message);
    if (!Array.isArray(content)) continue;
    for (const part of content as readonly ContentPart[]) {
      const data = dataOf(part);
      if (data === undefined) continue;
      const words = `[${/^[aiu]/.test(data.noun) ? 'An' : 'A'} ${data.media} of ${data.bytes.length} bytes, kept beside the texts of this store as it came; it cannot be read as text.]`;
      const entry = await store.appendStream({
        kind: 'attachment',
        chatId,
        note: `${data.noun}, kept as it came`,
        chunks: once(Buffer.from(words)),
        original: once(data.bytes),
      });
      kept.set(part, { noun: data.noun, entry });
    }
  }
  return kept;
}

/** A part as it stands in the text of its conversation. */
export function partText(part: ContentPart, kept: ReadonlyMap<ContentPart, KeptPart>): string {
  if (part.type === 'text') return part.text ?? '';
  const entry = kept.get(part)?.entry;
  return entry === undefined
    ? `[${part.type} ${JSON.stringify(part)}]`
    : `[${part.type}: entry ${entry.id}]`;
}

function dataOf(
  part: ContentPart,
): { readonly noun: string; readonly media: string; readonly bytes: Uint8Array } | undefined {
  if (part.type === 'text') return undefined;
  const json = JSON.stringify(part);
  if (json.length <= maxInlineLength) return undefined;
  const noun = /image|audio|video/.exec(part.type)?.[0] ?? 'file';
  const url = dataUrl(part);
  if (url === undefined) return { noun, media: `${noun} part`, bytes: Buffer.from(json) };
  return { noun, media: `${noun} (${url.media})`, bytes: Buffer.from(url.base64, 'base64') };
}

/**
 * The data of a part whose only long text is a data URL that is pure base64: then its bytes say
 * all.
 */
function dataUrl(value: object): { readonly media: string; readonly base64: string } | undefined {
  for (const member of Object.values(value) as readonly unknown[]) {
    if (isObject(member)) {
      const inner = dataUrl(member);
      if (inner !== undefined) return inner;
    }
    if (typeof member !== 'string' || !member.startsWith('data:')) continue;
    const comma = member.indexOf(',');
    const head = member.slice(5, comma);
    const base64 = member.slice(comma + 1);
    // What is not spelled as its bytes would be spelled again is kept as it came.
    if (!head.endsWith(';base64') || Buffer.from(base64, 'base64').toString('base64') !== base64)
      return undefined;
    return { media: head.slice(0, -';base64'.length), base64 };
  }
  return undefined;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}

/** "3 images and 1 file" in a few words; empty where there is none. */
export function countParts(nouns: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const noun of nouns) counts.set(noun, (counts.get(noun) ?? 0) + 1);
  return Array.from(counts, ([noun, count]) => `${count} ${plural(noun, count)}`).join(', ');
}

function plural(noun: string, count: number): string {
  if (count === 1) return noun;
  return noun === 'audio' ? 'audio recordings' : `${noun}s`;
}

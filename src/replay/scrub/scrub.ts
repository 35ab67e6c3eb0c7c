import { isObject, parseJson } from '../../wire/json.ts';
import type { RecordedEntry, RecordedExchange, RecordedTurn } from '../recorded-turn.ts';
import { scrubAnswer } from './answer.ts';
import { scrubArguments } from './arguments.ts';
import { scrubJson } from './json.ts';
import { keptWords } from './kept-words.ts';
import { WordScrubber } from './words.ts';

/** Headers that are of a protocol or name a program; of all others the words go. */
const keptHeader =
  /^(accept(-.*)?|content-type|user-agent|anthropic-(version|beta)|openai-beta|x-stainless-.*|x-rlm-inject)$/;

/**
 * Takes what was said out of recorded turns and leaves their form: roles, lengths, lines, which
 * words are the same, which tools were called. What a turn read from the memory of its chat goes,
 * too: it names texts by hashes that would be others.
 */
export class TurnScrubber {
  readonly #words = new WordScrubber(keptWords);

  /** The same turn without its words; read from the same files, piece by piece. */
  turn(turn: RecordedTurn): RecordedTurn {
    return {
      ...turn,
      headers: Object.fromEntries(
        Object.entries(turn.headers).map(([name, value]) => [name, this.#header(name, value)]),
      ),
      settings: this.#settings(turn.settings),
      memory: { ...turn.memory, reads: [], present: [] },
      stores: turn.stores?.map((store) =>
        store.directory === undefined
          ? store
          : Object.assign({}, store, { directory: this.#words.text(store.directory) }),
      ),
      entries: turn.entries.map((entry) => this.#entry(entry)),
      exchanges: turn.exchanges.map((exchange) => this.#exchange(exchange)),
      body: async () => {
        const body = await turn.body();
        return body && this.#json(body);
      },
      text: async (entry) => Buffer.from(this.#words.text((await turn.text(entry)).toString())),
    };
  }

  /** Names of tools in them: these have sizes of their own from which on outputs are stored. */
  #settings(settings: RecordedTurn['settings']): RecordedTurn['settings'] {
    const { strip } = settings;
    if (!isObject(strip)) return settings;
    const { perTool, fixedTools } = strip;
    const name = (tool: string): string => this.#words.name(tool);
    const sizes = isObject(perTool) ? Object.entries(perTool) : [];
    const fixed = Array.isArray(fixedTools) ? (fixedTools as readonly unknown[]) : [];
    return {
      ...settings,
      strip: {
        ...strip,
        perTool: Object.fromEntries(sizes.map(([tool, size]) => [name(tool), size])),
        fixedTools: fixed.map((tool) => name(String(tool))),
      },
    };
  }

  /** What else is known of it is made of its text, or of the call that it came from. */
  #entry(recorded: RecordedEntry): RecordedEntry {
    const { outline: _outline, args: _args, call: _call, note: _note, ...entry } = recorded;
    if (entry.tool !== undefined) entry.tool = this.#words.name(entry.tool);
    for (const name of ['path', 'chatId', 'toolCallId'] as const) {
      const value = entry[name];
      if (value !== undefined) entry[name] = this.#words.text(value);
    }
    return entry;
  }

  #exchange(exchange: RecordedExchange): RecordedExchange {
    return {
      ...exchange,
      answer: async () => scrubAnswer(await exchange.answer(), exchange, this.#words),
    };
  }

  #header(name: string, value: string | string[]): string | string[] {
    if (keptHeader.test(name) || value === '[removed]') return value;
    const scrubbed = (text: string): string => {
      // Names of stores are random.
      if (/^sess_[0-9a-f]{16}$/.test(text)) return text;
      if (isObject(parseJson(text))) return scrubArguments('', text, this.#words);
      return encodeURIComponent(this.#words.text(decoded(text))).replaceAll('%2F', '/');
    };
    return typeof value === 'string' ? scrubbed(value) : value.map(scrubbed);
  }

  #json(body: Buffer): Buffer {
    const text = body.toString();
    const value = parseJson(text);
    return Buffer.from(
      value === undefined ? this.#words.text(text) : JSON.stringify(scrubJson(value, this.#words)),
    );
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

import { isObject } from './json.ts';

/** So much text is held back at most while it may still be a call, UTF-16 units. */
const maxHeldUnits = 8_192;

/** So many closing marks are tried for one call: its own arguments may hold that mark. */
const maxClosingMarks = 8;

/**
 * A call that a model has written as text. `arguments` is what stood there, or JSON made of an XML
 * form's texts.
 */
export interface TextCall {
  readonly name: string;
  readonly arguments: string;
}

/** What the owner of the calls knows. */
interface TextCallRules {
  /** Whether a tool of this name is ours. Calls of other tools stay text. */
  readonly isOwn: (name: string) => boolean;
  /** Whether this can be read as arguments. What cannot stays text. */
  readonly isReadable: (argumentText: string) => boolean;
}

/** One way in which models mark calls. */
interface Form {
  readonly open: string;
  readonly close: string;
  /** Whether what stands behind the opening mark so far can still become a call of ours. */
  readonly canBecome: (body: string, rules: TextCallRules) => boolean;
  /** The calls between the marks; nothing where it is anything else. */
  readonly read: (body: string) => readonly TextCall[] | undefined;
}

/**
 * Reads calls of our tools that a model has written into its text, because its server does not know
 * the model's marks: Qwen's and Hermes' JSON, GLM's XML, Kimi's and DeepSeek's sections. Only what
 * is whole and readable, begins a line outside of code fences and ends the text is such a call;
 * everything else, an answer about these marks too, comes out as it came in, in order. Only text
 * that may still be a call is held back, 8192 UTF-16 units at most.
 */
export class TextCallDoor {
  readonly #rules: TextCallRules;
  /** What has come and is not out yet: empty, or from a line's start. */
  #held = '';
  /** So much of it are whole calls. */
  #readUnits = 0;
  #found: TextCall[] = [];
  /** Where in the call that has begun the search for its end goes on. */
  #closeFrom = 0;
  #closesTried = 0;
  #isInLine = false;
  readonly #fences = new Fences();

  constructor(rules: TextCallRules) {
    this.#rules = rules;
  }

  /**
   * Takes the next piece of text and returns what may be seen of all that has come; may be empty.
   */
  push(text: string): string {
    this.#held += text;
    return this.#release();
  }

  /**
   * The text is over, or interrupted: the rest that is text after all, and the calls it ended with.
   * More text may follow.
   */
  end(): { readonly rest: string; readonly calls: readonly TextCall[] } {
    let rest = '';
    while (this.#held !== '') {
      if (this.#found.length > 0 && this.#held.slice(this.#readUnits).trim() === '') {
        const calls = this.#found;
        this.#held = '';
        this.#startOver();
        return { rest, calls };
      }
      rest += this.#takeLine() + this.#release();
    }
    return { rest, calls: [] };
  }

  #release(): string {
    let text = '';
    while (this.#held !== '' && !this.#mayBeCalls()) text += this.#takeLine();
    return text;
  }

  /** The held text up to the end of its first line: none of it begins a call. */
  #takeLine(): string {
    const end = this.#held.indexOf('\n');
    const line = end === -1 ? this.#held : this.#held.slice(0, end + 1);
    this.#held = this.#held.slice(line.length);
    this.#isInLine = end === -1;
    this.#fences.add(line);
    this.#startOver();
    return line;
  }

  #startOver(): void {
    this.#readUnits = 0;
    this.#found = [];
    this.#closeFrom = 0;
    this.#closesTried = 0;
  }

  /** Whether the held text is calls, as far as it has come. */
  #mayBeCalls(): boolean {
    if (this.#isInLine || this.#fences.isInside || this.#held.length > maxHeldUnits) return false;
    for (;;) {
      const behind = this.#held.slice(this.#readUnits);
      const text = this.#readUnits === 0 ? behind : behind.trimStart();
      const form = forms.find(({ open }) => text.startsWith(open));
      if (form === undefined) return forms.some(({ open }) => open.startsWith(text));
      const body = text.slice(form.open.length);
      if (!form.canBecome(body, this.#rules)) return false;
      const length = this.#readOne(form, body);
      if (length === undefined) return this.#closesTried < maxClosingMarks;
      this.#readUnits = this.#held.length - body.length + length;
      this.#closeFrom = 0;
      this.#closesTried = 0;
    }
  }

  /** Reads the call that begins here; how long it is with its closing mark. */
  #readOne({ close, read }: Form, body: string): number | undefined {
    while (this.#closesTried < maxClosingMarks) {
      const at = body.indexOf(close, this.#closeFrom);
      if (at === -1) {
        this.#closeFrom = Math.max(this.#closeFrom, body.length - close.length + 1);
        return undefined;
      }
      const calls = read(body.slice(0, at));
      if (calls?.every((call) => this.#isCall(call)) === true) {
        this.#found.push(...calls);
        return at + close.length;
      }
      this.#closeFrom = at + close.length;
      this.#closesTried += 1;
    }
    return undefined;
  }

  #isCall(call: TextCall): boolean {
    return this.#rules.isOwn(call.name) && this.#rules.isReadable(call.arguments);
  }
}

/** Follows code fences line by line, also in lists and quotes. */
class Fences {
  /** So much of a line is looked at, UTF-16 units: a fence's line is short. */
  static readonly #maxLineUnits = 1_000;
  #open: string | undefined;
  #line = '';

  get isInside(): boolean {
    return this.#open !== undefined;
  }

  /** Takes a line with its end, or a piece of one. */
  add(piece: string): void {
    this.#line += piece.slice(0, Fences.#maxLineUnits - this.#line.length);
    if (!piece.endsWith('\n')) return;
    const line = this.#line;
    this.#line = '';
    const [, marks, info = ''] =
      /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}|~{3,})(.*)/.exec(line) ?? [];
    if (marks === undefined) return;
    // Backticks that close in their line are no fence.
    if (this.#open === undefined)
      this.#open = marks[0] === '`' && info.includes('`') ? undefined : marks;
    else if (marks.startsWith(this.#open) && info.trim() === '') this.#open = undefined;
  }
}

/**
 * Qwen, Hermes and many that were trained like them write JSON between these marks, GLM a name and
 * XML.
 */
const toolCallForm: Form = {
  open: '<tool_call>',
  close: '</tool_call>',
  canBecome: (body, { isOwn }) => {
    const text = body.trimStart();
    if (text === '') return true;
    if (text.startsWith('{')) {
      const [, name] = /^\{\s*"name"\s*:\s*"([^"\\]*)"/.exec(text) ?? [];
      return name === undefined ? /^\{\s*(?:"|$)/.test(text) : isOwn(name);
    }
    const [, name, space, next] = /^([^\s<]{1,128})(\s*)(.?)/s.exec(text) ?? [];
    if (name === undefined) return false;
    if (space === '' && next === '') return true;
    return isOwn(name) && (next === '' || next === '<');
  },
  read: (body) => {
    const call = body.trim().startsWith('{') ? jsonCall(body.trim()) : xmlCall(body);
    return call === undefined ? undefined : [call];
  },
};

const kimiForm: Form = {
  open: '<|tool_calls_section_begin|>',
  close: '<|tool_calls_section_end|>',
  canBecome: (body) => isBeginOf(body, '<|tool_call_begin|>'),
  read: (body) =>
    listOf(
      body,
      /\s*<\|tool_call_begin\|>\s*([^\s<]+)\s*<\|tool_call_argument_begin\|>([\s\S]*?)<\|tool_call_end\|>\s*/y,
      // `functions.NAME:NUMBER` is the call's id, which holds the tool's name.
      (id) => id.replace(/^functions\./, '').replace(/:\d+$/, ''),
    ),
};

const deepSeekForm: Form = {
  open: '<｜tool▁calls▁begin｜>',
  close: '<｜tool▁calls▁end｜>',
  canBecome: (body) => isBeginOf(body, '<｜tool▁call▁begin｜>'),
  read: (body) =>
    listOf(
      body,
      /\s*<｜tool▁call▁begin｜>\s*(?:function<｜tool▁sep｜>)?([^\s<]+)\s*(?:<｜tool▁sep｜>|(?=```))([\s\S]*?)<｜tool▁call▁end｜>\s*/y,
      (name) => name,
    ),
};

const forms: readonly Form[] = [toolCallForm, kimiForm, deepSeekForm];

function isBeginOf(body: string, mark: string): boolean {
  const text = body.trimStart();
  return text.startsWith(mark) || mark.startsWith(text);
}

function jsonCall(body: string): TextCall | undefined {
  const value = parsed(body);
  if (isObject(value)) {
    const { name } = value;
    const given = value['arguments'] ?? value['parameters'] ?? {};
    if (typeof name !== 'string' || (typeof given !== 'string' && !isObject(given)))
      return undefined;
    return { name, arguments: typeof given === 'string' ? given : JSON.stringify(given) };
  }
  // Arguments that are almost JSON: what stands around them has to be right.
  const [head, name] =
    /^\{\s*"name"\s*:\s*"([^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/.exec(body) ?? [];
  if (head === undefined || name === undefined) return undefined;
  const [, given] = /^([\s\S]*\})\s*\}$/.exec(body.slice(head.length)) ?? [];
  return given === undefined ? undefined : { name, arguments: given };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A name, then keys and values that are texts of any kind: which type they have is not said. */
function xmlCall(body: string): TextCall | undefined {
  const [head, name] = /^\s*([^\s<]+)\s*/.exec(body) ?? [];
  if (head === undefined || name === undefined) return undefined;
  const members: [string, string][] = [];
  const member = /<arg_key>([^<]*)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>\s*/y;
  member.lastIndex = head.length;
  while (member.lastIndex < body.length) {
    const [, key, value] = member.exec(body) ?? [];
    if (key === undefined || value === undefined) return undefined;
    members.push([key.trim(), value]);
  }
  return { name, arguments: JSON.stringify(Object.fromEntries(members)) };
}

/**
 * The calls of a section that holds nothing else, and at least one. `one` is sticky: name,
 * arguments with or without a fence.
 */
function listOf(
  body: string,
  one: RegExp,
  nameOf: (written: string) => string,
): readonly TextCall[] | undefined {
  const calls: TextCall[] = [];
  one.lastIndex = 0;
  while (one.lastIndex < body.length) {
    const [, written, given] = one.exec(body) ?? [];
    if (written === undefined || given === undefined) return undefined;
    calls.push({ name: nameOf(written), arguments: withoutFence(given.trim()) });
  }
  return calls.length === 0 ? undefined : calls;
}

function withoutFence(text: string): string {
  return /^```(?:json)?[ \t]*\n([\s\S]*?)\n?```$/.exec(text)?.[1] ?? text;
}

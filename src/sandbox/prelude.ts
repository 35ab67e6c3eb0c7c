/**
 * The program's side of the bridge, run inside QuickJS before any program. It is called with two
 * host functions (`host(method, jsonText) -> taggedText`, and `take() -> text` for the text that a
 * reply has announced) and gives back what the machine needs. Built-ins are taken out of the realm
 * first, so that a program which replaces `JSON.stringify` fools only itself: nothing here is a
 * defence of the host, which trusts no text that comes out.
 */
export const preludeSource = String.raw`(function (host, take, limits) {
  'use strict';
  const { stringify, parse } = JSON;
  const { isArray } = Array;
  const { keys, defineProperty, freeze, hasOwn, setPrototypeOf } = Object;
  const realm = globalThis;
  const { min, max, floor } = Math;
  /** The JSON part of a reply, and the text that came beside it. */
  const ask = (method, args) => {
    const reply = host(method, stringify(args));
    const body = reply.slice(1);
    if (reply[0] === 'T') return { text: body };
    if (reply[0] === 'J') return { value: parse(body) };
    if (reply[0] === 'B') return { value: parse(body), text: take() };
    throw new Error(body);
  };
  const call = (method, args) => {
    const { value, text } = ask(method, args);
    return text === undefined ? value : text;
  };
  /** The same in another store, by its name; here where there is none. */
  const askIn = (store, method, args) => (store === undefined ? ask(method, args) : ask('in', [store, method, ...args]));
  const callIn = (store, method, args) => {
    const { value, text } = askIn(store, method, args);
    return text === undefined ? value : text;
  };
  const number = (value, name, fallback) => {
    const given = value === undefined ? fallback : Number(value);
    if (!(given >= 0)) throw new TypeError(name + ' must be a number from 0 on, not ' + String(value));
    return floor(min(given, Number.MAX_SAFE_INTEGER));
  };
  const plain = (value) => (value === undefined || value === null ? {} : value);
  const sourceOf = (pattern, given) => {
    if (!(pattern instanceof RegExp)) return String(pattern);
    if (pattern.ignoreCase && given.case_sensitive === undefined) given.case_sensitive = false;
    return pattern.source;
  };
  const searchFor = (store, pattern, options, literal) => {
    const given = { ...plain(options) };
    if (literal && pattern instanceof RegExp)
      throw new TypeError('context.find takes plain text; context.search takes a pattern');
    return callIn(store, 'search', [sourceOf(pattern, given), given, literal]);
  };
  const entryName = (entry) => (entry !== null && typeof entry === 'object' ? String(entry.id) : String(entry));
  const textOf = (store, entry) => callIn(store, 'text', [entryName(entry)]);
  const splitLines = (text) => {
    const lines = text.split('\n');
    if (lines.at(-1) === '') lines.pop();
    return lines;
  };
  /** Of entries that are asked for their text as if they had it. */
  const entryPrototype = freeze({
    get text() {
      return textOf(undefined, this);
    },
  });
  const recordsFor = (store, pattern, options) => {
    const given = { ...plain(options) };
    const { value, text } = askIn(store, 'records', [sourceOf(pattern, given), given]);
    const { count, names, labels } = value;
    const width = names.length;
    if (count === 0) return [];
    const flat = value.separator === undefined ? parse(text) : text.split(value.separator);
    const last = labels === undefined ? -1 : width - 1;
    const named = names.some((name, index) => name !== null && index !== last);
    const titles = names.map((name, index) => (name === null ? String(index + 1) : name));
    const records = new Array(count);
    for (let at = 0, from = 0; at < count; at += 1) {
      const record = named ? {} : new Array(width);
      for (let field = 0; field < width; field += 1, from += 1) {
        const value = field === last ? labels[flat[from]] : flat[from];
        record[named ? titles[field] : field] = value;
        // A list has its label at its end, and by its name for whoever asks so.
        if (field === last && !named) record[titles[field]] = value;
      }
      records[at] = record;
    }
    return records;
  };
  const groupFor = (store, pattern, by, options, filters) => {
    const given = { ...plain(options), ...plain(filters) };
    const source = sourceOf(pattern, given);
    return callIn(store, 'group', [source, by === undefined || by === null ? [] : isArray(by) ? by : [by], given]);
  };
  const question = (one) => {
    if (typeof one === 'string') return { prompt: one };
    if (isArray(one)) return { prompt: String(one[0]), ...(one[1] === undefined ? {} : { text: String(one[1]) }) };
    if (one === null || typeof one !== 'object' || one.prompt === undefined)
      throw new TypeError('a question is a string, [prompt, text] or { prompt, text }');
    return { prompt: String(one.prompt), ...(one.text === undefined ? {} : { text: String(one.text) }) };
  };
  const itemText = (item) => {
    if (typeof item === 'string') return item;
    if (item !== null && typeof item === 'object' && typeof item.text === 'string') return item.text;
    return stringify(item) ?? String(item);
  };
  const mapOver = (items, task, options) => {
    if (!isArray(items)) throw new TypeError('llm_map(items, task, options) takes a list of texts first');
    if (typeof task !== 'string' || task === '') throw new TypeError('llm_map(items, task, options): task is the question about each item, a string');
    return call('map', [items.map(itemText), task, plain(options)]);
  };
  const show = (value, room) => {
    let text = '';
    let left = room;
    const put = (piece) => {
      if (left <= 0) return;
      text += piece.length > left ? piece.slice(0, left) : piece;
      left -= piece.length;
    };
    const open = [];
    const write = (it, nested) => {
      if (left <= 0) return;
      if (typeof it === 'string') return put(nested ? stringify(it.length > left ? it.slice(0, left) : it) : it);
      if (typeof it === 'bigint') return put(String(it) + 'n');
      if (typeof it === 'function') return put('[function ' + (it.name || 'anonymous') + ']');
      if (typeof it === 'symbol') return put(String(it));
      if (it === null || typeof it !== 'object') return put(String(it));
      if (it === built.context) return put(String(it));
      if (it instanceof Error) return put(String(it.name) + ': ' + String(it.message));
      if (it instanceof Date || it instanceof RegExp) return put(String(it));
      if (it instanceof Promise) return put('[promise: await it]');
      if (open.includes(it)) return put('[circular]');
      if (open.length > 40) return put('[deep]');
      open.push(it);
      if (isArray(it) || ArrayBuffer.isView(it)) list('[', it, ']', (one) => write(one, true));
      else if (it instanceof Set) list('Set [', it, ']', (one) => write(one, true));
      else if (it instanceof Map) list('Map {', it, '}', ([key, one]) => pair(key, one));
      else list('{', keys(it), '}', (key) => pair(key, it[key]));
      open.pop();
    };
    const pair = (key, one) => {
      write(key, true);
      put(': ');
      write(one, true);
    };
    const list = (start, items, end, each) => {
      put(start);
      let first = true;
      for (const one of items) {
        if (left <= 0) return;
        if (!first) put(', ');
        first = false;
        each(one);
      }
      put(end);
    };
    write(value, false);
    return text;
  };
  const print = (...values) => {
    const room = limits.outputChars;
    const pieces = values.map((value) => (typeof value === 'string' ? value : show(value, room)));
    const text = pieces.join(' ');
    const omitted = text.length - 2 * room;
    if (omitted <= 0) call('print', [text + '\n', 0, '']);
    else call('print', [text.slice(0, room), omitted, text.slice(-room) + '\n']);
  };
  const answer = (value) => {
    const text = typeof value === 'string' ? value : show(value, limits.answerChars + 1);
    if (text.length > limits.answerChars)
      throw new RangeError('an answer may have at most ' + limits.answerChars + ' characters, this has ' + text.length);
    call('answer', [text]);
    return undefined;
  };
  let built = {};
  /** What reads a store: the own one, or a linked one by its name. */
  const contextOf = (lengthChars, store) => {
    const place = (value, fallback) => {
      const given = value === undefined ? fallback : floor(Number(value)) || 0;
      return max(0, min(given < 0 ? lengthChars + given : given, lengthChars));
    };
    const tooLarge = (what, chars) =>
      new RangeError(what + ' would give ' + chars + ' characters, at most ' + limits.readChars + ' at once: read in a loop, take context.text(entry) of single entries, or let context.search, context.records or context.group go over all of it');
    const slice = (what, from, to) => {
      const start = place(from, 0);
      const chars = max(0, place(to, lengthChars) - start);
      if (chars > limits.readChars) throw tooLarge(what, chars);
      return callIn(store, 'read', [start, chars]);
    };
    const known = {
      length: lengthChars,
      read: (offset, length) => {
        if (typeof offset === 'string' && !(Number(offset) >= 0))
          throw new TypeError('context.read(offset, length) takes numbers; context.text(' + stringify(offset) + ') reads an entry');
        return callIn(store, 'read', [number(offset, 'offset', 0), number(length, 'length', limits.readChars)]);
      },
      lines: (from, to, last) => {
        if (from === undefined || (typeof from !== 'object' && Number(from) >= 0))
          return splitLines(callIn(store, 'lines', [number(from, 'from', 1), number(to, 'to', from === undefined ? Number.MAX_SAFE_INTEGER : from)]));
        return splitLines(callIn(store, 'lines', [max(1, number(to, 'from', 1)), number(last, 'to', Number.MAX_SAFE_INTEGER), entryName(from)]));
      },
      text: (entry) => textOf(store, entry),
      search: (pattern, options) => searchFor(store, pattern, options, false),
      find: (text, options) => searchFor(store, text, options, true),
      records: (pattern, options) => recordsFor(store, pattern, options),
      group: (pattern, by, options, filters) => groupFor(store, pattern, by, options, filters),
      entries: (filter) => {
        const entries = callIn(store, 'entries', [plain(filter)]);
        for (const entry of entries) setPrototypeOf(entry, entryPrototype);
        return entries;
      },
      answers: (id) => call('answers', [String(id)]),
      slice: (from, to) => slice('context.slice', from, to),
      substring: (from, to) => slice('context.substring', max(0, Number(from) || 0), to === undefined ? to : max(0, Number(to) || 0)),
      split: (separator, limit) => slice('context.split', 0, lengthChars).split(separator, limit),
      toString: () => '[context of ' + lengthChars + ' characters: it is no string; help() shows what it has]',
    };
    // Not among what a context is said to have: most have no linked stores.
    if (store === undefined || store[0] === '@') {
      const then = store === undefined ? '' : store;
      const contextIn = (name) => contextOf(call('of', [name]), name);
      defineProperty(known, 'linked', { value: () => callIn(store, 'linked', []) });
      defineProperty(known, 'of', { value: (name) => contextIn(String(name) + then) });
      // A name that no linked store has.
      const at = (when) => '@' + (when instanceof Date ? when.toISOString() : String(when));
      if (store === undefined) defineProperty(known, 'at', { value: (when) => contextIn(at(when)) });
    }
    freeze(known);
    return new Proxy(known, {
      get: (_, name) => {
        if (typeof name === 'symbol' || name === 'then' || name === 'toJSON' || name in known) return known[name];
        if (/^-?\d+$/.test(name)) throw new TypeError('context is no string: context.read(' + name + ', 1) is the character at ' + name);
        throw new TypeError('context has no ' + name + '; it has ' + keys(known).filter((one) => one !== 'toString').join(', ') + '. help() shows how they are used');
      },
    });
  };
  const install = (lengthChars) => {
    const context = contextOf(lengthChars, undefined);
    built = {
      context,
      help: () => call('help', []),
      llm_query: (prompt, text) => call('query', [[question([prompt, text])]])[0],
      llm_query_batched: (questions) => {
        if (!isArray(questions)) throw new TypeError('llm_query_batched takes a list of questions');
        if (questions.length > limits.questions)
          throw new RangeError('llm_query_batched takes at most ' + limits.questions + ' questions at once (setting sandbox.maxQuestions), this list has ' + questions.length + ': put many lines into one question, or let code choose what is worth asking');
        return questions.length === 0 ? [] : call('query_batched', [questions.map(question)]);
      },
      llm_map: mapOver,
      print,
      console: { log: print, info: print, warn: print, error: print, debug: print },
      answer,
      FINAL: answer,
      FINAL_VAR: (value) => answer(typeof value === 'string' && hasOwn(realm, value) ? realm[value] : value),
      len: (value) => {
        if (value instanceof Map || value instanceof Set) return value.size;
        if (typeof value === 'string' || isArray(value) || value === context) return value.length;
        return keys(Object(value)).length;
      },
    };
    for (const name of keys(built))
      defineProperty(realm, name, { value: built[name], writable: true, configurable: true, enumerable: false });
  };
  return {
    install,
    show: (value) => stringify(show(value, limits.outputChars + 1)),
    names: () => stringify(keys(realm)),
    failure: (error) => {
      const known = error !== null && typeof error === 'object';
      const name = known && error.name !== undefined ? String(error.name) : '';
      const message = known ? (error.message === undefined ? show(error, 1000) : String(error.message)) : show(error, 1000);
      return stringify([name.slice(0, 100), message.slice(0, 2000), known && typeof error.stack === 'string' ? error.stack.slice(0, 2000) : '']);
    },
  };
})`;

/**
 * The program's side of the bridge, run inside QuickJS before any program. It is called with the
 * one host function (`host(method, jsonText) -> taggedText`) and gives back what the machine needs.
 * Built-ins are taken out of the realm first, so that a program which replaces `JSON.stringify`
 * fools only itself: nothing here is a defence of the host, which trusts no text that comes out.
 */
export const preludeSource = String.raw`(function (host, limits) {
  'use strict';
  const { stringify, parse } = JSON;
  const { isArray } = Array;
  const { keys, defineProperty, freeze } = Object;
  const realm = globalThis;
  const { min, floor } = Math;
  const call = (method, args) => {
    const reply = host(method, stringify(args));
    const body = reply.slice(1);
    if (reply[0] === 'T') return body;
    if (reply[0] === 'J') return parse(body);
    throw new Error(body);
  };
  const number = (value, name, fallback) => {
    const given = value === undefined ? fallback : Number(value);
    if (!(given >= 0)) throw new TypeError(name + ' must be a number from 0 on, not ' + String(value));
    return floor(min(given, Number.MAX_SAFE_INTEGER));
  };
  const plain = (value) => (value === undefined ? {} : value);
  const searchFor = (pattern, options, literal) => {
    const given = { ...plain(options) };
    if (pattern instanceof RegExp) {
      if (literal) throw new TypeError('context.find takes plain text; context.search takes a pattern');
      if (pattern.ignoreCase && given.case_sensitive === undefined) given.case_sensitive = false;
      return call('search', [pattern.source, given, false]);
    }
    return call('search', [String(pattern), given, literal]);
  };
  const question = (one) => {
    if (typeof one === 'string') return { prompt: one };
    if (isArray(one)) return { prompt: String(one[0]), ...(one[1] === undefined ? {} : { text: String(one[1]) }) };
    if (one === null || typeof one !== 'object' || one.prompt === undefined)
      throw new TypeError('a question is a string, [prompt, text] or { prompt, text }');
    return { prompt: String(one.prompt), ...(one.text === undefined ? {} : { text: String(one.text) }) };
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
  const install = (lengthChars) => {
    const context = {
      length: lengthChars,
      read: (offset, length) => call('read', [number(offset, 'offset', 0), number(length, 'length', limits.readChars)]),
      lines: (from, to) => {
        const text = call('lines', [number(from, 'from', 1), number(to, 'to', from)]);
        const lines = text.split('\n');
        if (lines.at(-1) === '') lines.pop();
        return lines;
      },
      search: (pattern, options) => searchFor(pattern, options, false),
      find: (text, options) => searchFor(text, options, true),
      entries: (filter) => call('entries', [plain(filter)]),
      toString: () => '[context of ' + lengthChars + ' characters: use context.read, context.search, context.find]',
    };
    const built = {
      context: freeze(context),
      llm_query: (prompt, text) => call('query', [[question([prompt, text])]])[0],
      llm_query_batched: (questions) => {
        if (!isArray(questions)) throw new TypeError('llm_query_batched takes a list of questions');
        if (questions.length > limits.questions)
          throw new RangeError('llm_query_batched takes at most ' + limits.questions + ' questions at once (setting sandbox.maxQuestions), this list has ' + questions.length + ': put many lines into one question, or let code choose what is worth asking');
        return questions.length === 0 ? [] : call('query_batched', [questions.map(question)]);
      },
      print,
      console: { log: print, info: print, warn: print, error: print, debug: print },
      answer: (value) => {
        const text = typeof value === 'string' ? value : show(value, limits.answerChars + 1);
        if (text.length > limits.answerChars)
          throw new RangeError('an answer may have at most ' + limits.answerChars + ' characters, this has ' + text.length);
        call('answer', [text]);
        return undefined;
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

import { afterAll, describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../clock.ts';
import { openSandboxes, type Sandboxes } from './sandboxes.ts';
import type { NameRecord, SandboxHost, SandboxLimits, SandboxResult } from './types.ts';

const limits: SandboxLimits = {
  memoryBytes: 64_000_000,
  stackBytes: 256_000,
  computeMs: 200,
  maxOutputChars: 2000,
  maxAnswerChars: 100_000,
  maxQuestions: 1_000,
  maxReadChars: 4_000_000,
};

const text = Array.from(
  { length: 5000 },
  (_, index) => `${index % 7 === 0 ? 'ERROR' : 'info'} line ${index}\n`,
).join('');

function hostOver(context: string, change: Partial<SandboxHost> = {}): SandboxHost {
  return {
    lengthChars: context.length,
    read: async (offset, length) => context.slice(offset, offset + length),
    lines: async ({ first, last }) =>
      context
        .split('\n')
        .slice(first - 1, last)
        .join('\n'),
    text: async (entry) => `text of ${entry}`,
    records: async () => ({
      count: 2,
      names: [null, null],
      separator: ';',
      text: new TextEncoder().encode('a;\0;é;d'),
    }),
    methods: { help: async () => 'manual' },
    search: async (pattern, options) => ({ matches: [{ text: pattern }], total: 1, options }),
    entries: async (filter) => [{ id: 'e1', filter }],
    query: async (questions) =>
      questions.map((one) =>
        one.prompt === 'fail'
          ? { ok: false, error: 'no luck' }
          : { ok: true, text: `${one.prompt}/${one.text?.length ?? 0}` },
      ),
    ...change,
  };
}

function record(): NameRecord & { names: readonly string[] } {
  const kept = {
    names: [] as readonly string[],
    load: async () => kept.names,
    save: async (names: readonly string[]) => {
      kept.names = names;
    },
  };
  return kept;
}

const shared = openSandboxes({ clock: systemClock, limits, maxSandboxes: 3, idleMs: 60_000 });
/** For programs that would never end: how long they may is how long they take. */
const impatient = openSandboxes({
  clock: systemClock,
  limits: { ...limits, computeMs: 50 },
  maxSandboxes: 1,
  idleMs: 60_000,
});
afterAll(async () => {
  await shared[Symbol.asyncDispose]();
  await impatient[Symbol.asyncDispose]();
});

interface Given {
  readonly sandboxes?: Sandboxes;
  readonly host?: SandboxHost;
  readonly names?: NameRecord;
  readonly chat?: string;
  readonly signal?: AbortSignal;
}

async function run(code: string, given: Given = {}): Promise<SandboxResult> {
  return (given.sandboxes ?? shared).run(given.chat ?? 'main', code, {
    host: given.host ?? hostOver(text),
    signal: given.signal ?? new AbortController().signal,
    names: given.names ?? record(),
  });
}

async function value(code: string, given: Given = {}): Promise<string | undefined> {
  const result = await run(code, given);
  expect(result.error).toBeUndefined();
  return result.value;
}

describe('programs', () => {
  test('read, search, list and print', async () => {
    expect(await value('context.length')).toBe(String(text.length));
    expect(await value('context.read(6, 6)')).toBe('line 0');
    expect(await value('context.lines(2, 3)')).toBe('["info line 1", "info line 2"]');
    expect(await value('context.search(/a+/i, {max_results: 2})')).toBe(
      '{"matches": [{"text": "a+"}], "total": 1, "options": {"max_results": 2, "case_sensitive": false, "literal": false}}',
    );
    expect(await value('context.find("x").options.literal')).toBe('true');
    expect(
      await value('try { llm_query_batched(Array(100000).fill("q")) } catch (e) { e.message }'),
    ).toMatch(
      /^llm_query_batched takes at most 1000 questions at once \(setting sandbox\.maxQuestions\), this list has 100000/,
    );
    expect(await value('context.entries({kind: "file"})')).toBe(
      '[{"id": "e1", "filter": {"kind": "file"}}]',
    );
    expect((await run('print("a", 1, {b: [2]}); console.log(new Map([[1, 2]]))')).output).toBe(
      'a 1 {"b": [2]}\nMap {1: 2}\n',
    );
  });

  test('ask sub-models, one and many, with and without await', async () => {
    expect(await value('llm_query("q", "text")')).toBe('q/4');
    expect(await value('await llm_query("q")')).toBe('q/0');
    expect(
      await value('llm_query_batched(["a", ["b", "xy"], {prompt: "c", text: "z"}, "fail"])'),
    ).toBe('["a/0", "b/2", "c/1", "[failed: no luck]"]');
    expect((await run('\nllm_query("fail")')).error).toBe(
      'Error: the sub-call failed: no luck (line 2, column 10)\n  2 | llm_query("fail")',
    );
    const result = await run(
      'const all = await Promise.all([1,2].map(async (n) => await llm_query("n" + n))); all',
    );
    expect(result.value).toBe('["n1/0", "n2/0"]');
    expect(result.work.subCalls).toBe(2);
  });

  test('keep variables between calls, whatever declared them', async () => {
    const given = { chat: 'keep' };
    await run(
      'let a = 1; const b = 2; var c = 3; function f() { return a + b + c } class D { x = 4 }',
      given,
    );
    expect(await value('f() + new D().x', given)).toBe('10');
    expect(
      await value('let a = 10; const b = 20; class D { x = 40 }; f() + new D().x', given),
    ).toBe('73');
    expect(await value('let a; String(a)', given)).toBe('undefined');
    expect(await value('typeof f', { chat: 'other' })).toBe('undefined');
  });

  test('give long results through answer', async () => {
    const result = await run('answer("x".repeat(50000)); 1');
    expect(result.answer?.length).toBe(50_000);
    expect(result.value).toBe('1');
    expect((await run('answer("x".repeat(200000))')).error).toContain('at most 100000');
  });

  test('have errors with the line', async () => {
    expect((await run('let q = 1;\n  q.no.thing')).error).toBe(
      "TypeError: cannot read property 'thing' of undefined (line 2, column 7)\n  2 |   q.no.thing",
    );
    expect((await run('let 5')).error).toContain('SyntaxError');
    expect((await run('throw {odd: 1}')).error).toBe('thrown: {"odd": 1}');
    expect((await run('await new Promise(() => {})')).error).toContain('nothing will settle');
    await run('function later() { return undefined.x }', { chat: 'frames' });
    expect((await run('later()', { chat: 'frames' })).error).toContain('of call 1');
  });

  test('carry every character there and back', async () => {
    const odd = 'a\0b\u{1f600}é\u2028"\\';
    const host = hostOver(odd, { query: async ([one]) => [{ ok: true, text: one?.prompt ?? '' }] });
    expect(await value('[...context.read(0, 100)].length', { host })).toBe('8');
    expect(await value('llm_query(context.read(0, 100)) === context.read(0, 100)', { host })).toBe(
      'true',
    );
    expect(await value('context.read(0, 100)', { host })).toBe(odd);
    expect((await run('print(context.read(0, 100))', { host })).output).toBe(`${odd}\n`);
  });

  test('get long texts whole, whatever characters they hold', async () => {
    for (const odd of ['plain', 'é\u{1f600}\u2028', 'a\0b']) {
      const long = `${odd} `.repeat(100_000);
      const host = hostOver(long, { text: async () => long });
      const counted = `const all = context.text('e1'); [all.length, all.endsWith('${odd.slice(-1).replace('\0', '\\0')} '), all === context.read(0, ${long.length})]`;
      expect(await value(counted, { host })).toBe(`[${long.length}, true, true]`);
    }
    expect(
      (
        await run('context.text("e1").length', {
          host: hostOver('', { text: async () => 'x'.repeat(50_000) }),
        })
      ).work.charsRead,
    ).toBe(50_000);
  });

  test('get records with whatever their fields hold', async () => {
    expect(await value('context.records(/x/)')).toBe('[["a", "\\u0000"], ["é", "d"]]');
    const host = hostOver(text, {
      records: async () => ({
        count: 2,
        names: ['who', 'path'],
        labels: ['/a', '/b'],
        text: new TextEncoder().encode('["ann","1","bob","0"]'),
      }),
    });
    expect(await value('context.records(/x/)', { host })).toBe(
      '[{"who": "ann", "path": "/b"}, {"who": "bob", "path": "/a"}]',
    );
    expect(await value('help()')).toBe('manual');
    expect((await run('llm_map(["a"], "q")')).error).toContain('there is no map');
  });

  test('have their output cut in the middle, with the count', async () => {
    const { output } = await run('for (let i = 0; i < 1000; i++) print("line " + i)');
    expect(output).toMatch(/^line 0\n/);
    expect(output).toMatch(/line 999\n$/);
    expect(output).toMatch(/\[\.\.\. [\d,]+ characters of output left out/);
    expect(output.length).toBeLessThan(2200);
    const single = await run('print("a".repeat(1e6) + "z"); "b".repeat(1e6)');
    expect(single.output).toMatch(/^a+\n\[.*\]\na+z\n$/s);
    expect(single.value?.length).toBeLessThan(2200);
  });
});

describe('lost variables', () => {
  test('are named after an eviction', async () => {
    const sandboxes = openSandboxes({
      clock: systemClock,
      limits,
      maxSandboxes: 1,
      idleMs: 60_000,
    });
    await using _ = sandboxes;
    const names = record();
    await run('let total = 1, users = {}', { sandboxes, names, chat: 'a' });
    expect(names.names).toEqual(['total', 'users']);
    await run('1', { sandboxes, chat: 'b' });
    const after = await run('typeof total', { sandboxes, names, chat: 'a' });
    expect(after.value).toBe('undefined');
    expect(after.lostNames).toEqual(['total', 'users']);
    expect((await run('1', { sandboxes, names, chat: 'a' })).lostNames).toEqual([]);
  });

  test('are named after the thread had to be ended', async () => {
    const sandboxes = openSandboxes({
      clock: systemClock,
      limits: { ...limits, computeMs: 100 },
      maxSandboxes: 1,
      idleMs: 60_000,
    });
    await using _ = sandboxes;
    const names = record();
    await run('let kept = 1', { sandboxes, names });
    const bad = await run('[].indexOf.call({ length: 2 ** 52 }, 1)', { sandboxes, names });
    expect(bad.error).toContain('built-in function');
    const after = await run('1 + 1', { sandboxes, names });
    expect(after.value).toBe('2');
    expect(after.lostNames).toEqual(['kept']);
  });
});

describe('variables that may hold forgotten texts', () => {
  test('are dropped, of that chat alone, and the next program is told why', async () => {
    const names = record();
    await run('let kept = "secret"', { names, chat: 'forgets' });
    await run('let other = 1', { chat: 'goes on' });
    expect(shared.chats).toContain('forgets');
    await shared.forget('forgets');
    expect(shared.chats).not.toContain('forgets');
    const next = await run('typeof kept', { names, chat: 'forgets' });
    expect(next).toMatchObject({ value: 'undefined', lostNames: ['kept'], areForgotten: true });
    expect(await value('other', { chat: 'goes on' })).toBe('1');
    await shared.end('forgets');
    // Lost once more, for another reason.
    await run('let again = 1', { names, chat: 'forgets' });
    await shared.end('forgets');
    const later = await run('1', { names, chat: 'forgets' });
    expect(later.lostNames).toEqual(['again']);
    expect(later.areForgotten).toBeUndefined();
  });

  test('of a program that runs are dropped when it ends', async () => {
    const names = record();
    const asked = Promise.withResolvers<void>();
    const read = Promise.withResolvers<string>();
    const host = hostOver(text, {
      read: async () => {
        asked.resolve();
        return read.promise;
      },
    });
    const running = run('let held = context.read(0, 6); held', { names, host, chat: 'runs' });
    await asked.promise;
    await shared.forget('runs');
    read.resolve('secret');
    expect(await running).toMatchObject({ value: 'secret', lostNames: [] });
    const next = await run('typeof held', { names, chat: 'runs' });
    expect(next).toMatchObject({ value: 'undefined', areForgotten: true });
  });
});

test('a chat can be ended: its variables are gone, and so is what it ran', async () => {
  await run('let here = 1', { chat: 'ended' });
  const endless = run('while (true) {}', { chat: 'ended' });
  await value('1', { chat: 'other chat' });
  await shared.end('ended');
  expect((await endless).error).toBeDefined();
  expect(await value('typeof here', { chat: 'ended' })).toBe('undefined');
  await shared.end('never was');
});

describe('attacks', () => {
  const given = { chat: 'attack' };

  test.each([
    [
      'process',
      'typeof process + typeof require + typeof fetch + typeof setTimeout + typeof WebAssembly',
    ],
    [
      'function constructor',
      'typeof (function(){}).constructor.constructor("return this")().process',
    ],
    ['of a host function', 'context.read.constructor("return typeof process")()'],
    [
      'through an error',
      'try { context.read(-1) } catch (e) { typeof e.constructor.constructor("return this")().process }',
    ],
    [
      'through a host error',
      'try { llm_query("fail") } catch (e) { typeof e.constructor.constructor("return globalThis")().require }',
    ],
    [
      'through a promise',
      'typeof (await (async () => 1).constructor("return globalThis")()).process',
    ],
    ['through the caller', 'function f() { return f.caller } String(f())'],
  ])('find no host object: %s', async (_, code) => {
    const result = await run(code, given);
    const seen = result.value ?? result.error ?? '';
    expect(seen).not.toMatch(/object|function(?!.*anonymous)/);
  });

  test('find no file and no module', async () => {
    expect((await run('await import("node:fs")', given)).error).toContain('Error');
    expect((await run('await import("/etc/passwd")', given)).error).toContain('Error');
  });

  test('spoil nobody else by changing prototypes', async () => {
    const spoil =
      'Object.prototype.polluted = 1; Array.prototype.map = () => { throw 1 }; JSON.stringify = () => "{}"; String = null; Promise = null; globalThis.context = null; delete globalThis.print; 1';
    await run(spoil, { chat: 'spoiler' });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(await value('context.read(0, 4)', { chat: 'spoiler' })).toBe('ERRO');
    expect(await value('typeof ({}).polluted', given)).toBe('undefined');
  });

  test('cannot make the built-ins unusable for later calls', async () => {
    await run(
      'let gone = 1; Object.defineProperty(globalThis, "context", { value: 1, configurable: false, writable: false })',
      {
        chat: 'nailed',
      },
    );
    const after = await run('typeof gone + context.read(0, 4)', { chat: 'nailed' });
    expect(after.value).toBe('undefinedERRO');
    expect(after.notes[0]).toContain('thrown away');
    expect((await run('Object.freeze(globalThis); 1', { chat: 'frozen' })).value).toBe('1');
    expect((await run('context.read(0, 4)', { chat: 'frozen' })).value).toBe('ERRO');
  });

  test.each([
    ['while (true) {}'],
    ['try { while (true) {} } catch (e) {} finally { while (true) {} }'],
    ['/(a+)+b/.test("a".repeat(60))'],
    ['await (async () => { while (true) await 1 })()'],
    ['function* g() { while (true) yield 1 } [...g()].length'],
    ['({ toString() { while (true) {} } }) + ""'],
    ['new Proxy({}, { ownKeys() { while (true) {} } })'],
    ['({ get x() { while (true) {} } })'],
    ['throw { get message() { while (true) {} } }'],
    ['Array.prototype.toJSON = () => { while (true) {} }; context.read(0, 1)'],
  ])('are stopped in time: %s', async (code) => {
    const brief = { sandboxes: impatient, chat: 'time' };
    const result = await run(code, brief);
    expect(result.error).toMatch(/stopped after 0.05 s|array too large|out of memory/);
    expect(await value('1 + 1', brief)).toBe('2');
  });

  test.each([
    ['let a = []; while (true) a.push("x".repeat(1e6) + a.length)'],
    ['let s = "x"; while (true) s += s'],
    ['new Array(1e9).fill(1)'],
    ['new ArrayBuffer(2e9)'],
    ['"x".repeat(1e9)'],
    ['let m = new Map(); for (let i = 0; ; i++) m.set(i, new Array(1000).fill(i))'],
    ['const keep = []; for (;;) { try { for (;;) keep.push(new Array(1e5).fill(0)) } catch {} }'],
  ])('take no more memory than allowed: %s', async (code) => {
    const result = await run(code, given);
    expect(result.error).toMatch(/out of memory|string too long|invalid|stopped|array/i);
    expect(await value('let b = "y".repeat(1e6); b.length', given)).toBe('1000000');
  });

  test.each([
    ['function g() { return g() + 1 } g()'],
    ['let b = []; for (let i = 0; i < 1e4; i++) b = [b]; b'],
    ['JSON.parse("[".repeat(1e6))'],
    ['eval("(".repeat(1e5) + ")".repeat(1e5))'],
    ['new RegExp("(?:".repeat(1e5) + ")".repeat(1e5))'],
    ['/(?:(?:a|b)*)*c/.test("ab".repeat(1e5))'],
    ['let p = {}; for (let i = 0; i < 1e5; i++) p = Object.create(p); p.x'],
    ['`${"${".repeat(3e4)}`; eval("[".repeat(3e4))'],
  ])('recurse no deeper than allowed: %s', async (code) => {
    await run(code, { chat: 'deep' });
    expect(await value('1 + 1', { chat: 'deep' })).toBe('2');
  });

  test('send no nonsense to the host that it does not survive', async () => {
    const code =
      'for (const bad of [NaN, Infinity, -1, 1e308, {}, "x", null, Symbol.iterator]) { try { context.read(bad, bad) } catch (e) { print(e.name) } } context.search({ toString: () => "p" }, 5); context.entries([1]); 7';
    expect(await value(code, given)).toBe('7');
    expect((await run('context.read(0, 1e12)', given)).error).toContain('at most 4000000');
  });
});

describe('cancellation', () => {
  test('stops a computing program and keeps its variables', async () => {
    const controller = new AbortController();
    const host = hostOver(text, {
      entries: async () => {
        controller.abort();
        return [];
      },
    });
    await run('let stay = 5', { chat: 'cancel' });
    const result = await run('try { context.entries() } catch {} while (true) {}', {
      host,
      chat: 'cancel',
      signal: controller.signal,
    });
    expect(result.error).toBe('cancelled');
    expect(await value('stay', { chat: 'cancel' })).toBe('5');
  });

  test('leaves a sub-call that never answers', async () => {
    const controller = new AbortController();
    const host = hostOver(text, {
      query: async () => {
        queueMicrotask(() => controller.abort());
        return new Promise(() => undefined);
      },
    });
    const result = await run('llm_query_batched(["a", "b"])', { host, signal: controller.signal });
    expect(result.error).toBe('cancelled');
    expect((await run('1', { signal: controller.signal })).error).toBe('cancelled');
    expect(await value('1 + 1')).toBe('2');
  });
});

test('programs of many chats share few threads, and each gets its turn', async () => {
  const sandboxes = openSandboxes({ clock: systemClock, limits, maxSandboxes: 2, idleMs: 60_000 });
  await using _ = sandboxes;
  const chats = ['a', 'b', 'c', 'd', 'a', 'b'];
  const values = await Promise.all(
    chats.map(
      async (chat, index) =>
        (await run(`${index} + context.read(0, 1)`, { sandboxes, chat })).value,
    ),
  );
  expect(values).toEqual(['0E', '1E', '2E', '3E', '4E', '5E']);
});

describe('a thread that stands ready', () => {
  test('takes the program it was started for, and is one of the few', async () => {
    const sandboxes = openSandboxes({
      clock: systemClock,
      limits,
      maxSandboxes: 1,
      idleMs: 60_000,
    });
    await using _ = sandboxes;
    sandboxes.prepare('a');
    sandboxes.prepare('b');
    expect(await value('let kept = 1; kept', { sandboxes, chat: 'a' })).toBe('1');
    // There is no room for a second one, so this leaves the first alone.
    sandboxes.prepare('b');
    sandboxes.prepare('a');
    expect(await value('kept', { sandboxes, chat: 'a' })).toBe('1');
    expect(await value('typeof kept', { sandboxes, chat: 'b' })).toBe('undefined');
  });

  test('goes with the others when they are closed', async () => {
    const sandboxes = openSandboxes({
      clock: systemClock,
      limits,
      maxSandboxes: 2,
      idleMs: 60_000,
    });
    sandboxes.prepare('a');
    await sandboxes[Symbol.asyncDispose]();
    expect(() => sandboxes.prepare('a')).not.toThrow();
  });
});

test('a program that the machine leaves waiting is not ended for it', async () => {
  // A clock that runs twenty times as fast as the processor: the limit is over by it long before
  // the program has computed so much.
  const started = performance.now();
  const hurried: Clock = {
    ...systemClock,
    elapsedMs: () => (performance.now() - started) * 20,
    after: (ms, work) => systemClock.after(ms / 20, work),
  };
  const sandboxes = openSandboxes({
    clock: hurried,
    limits: { ...limits, computeMs: 3_000 },
    maxSandboxes: 1,
    idleMs: 600_000_000,
  });
  await using _ = sandboxes;
  await value('1', { sandboxes });
  const code =
    'let n = 0; const until = Date.now() + 400; while (Date.now() < until) n += 1; "done"';
  expect(await value(code, { sandboxes })).toBe('done');
});

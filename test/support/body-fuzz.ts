import { startProxy } from './proxy.ts';
import { answer, callTools, startScriptedUpstream } from './scripted-upstream.ts';

/** A mutated body that the proxy failed at. */
export interface FuzzFailure {
  readonly status: number;
  readonly answer: string;
  readonly body: string;
}

/**
 * A conversation with most of what there is: a system block, parts, calls of several kinds,
 * outputs, tools.
 */
const whole = {
  model: 'm',
  stream: false,
  temperature: 1,
  tools: [
    {
      type: 'function',
      function: { name: 'bash', description: 'd', parameters: { type: 'object' } },
    },
    { type: 'custom', custom: { name: 'apply' } },
  ],
  tool_choice: 'auto',
  stream_options: { include_usage: true },
  messages: [
    { role: 'system', content: 'You help.\n<env>\n  Working directory: /work/p\n</env>' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'look <system-reminder>x</system-reminder>' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
      ],
    },
    {
      role: 'assistant',
      content: null,
      reasoning_content: 'hm',
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'bash', arguments: '{"command":"ls"}' } },
        { id: 'b', type: 'custom', custom: { name: 'apply', input: 'x' } },
      ],
    },
    { role: 'tool', tool_call_id: 'a', content: 'line of output\n'.repeat(60) },
    { role: 'tool', tool_call_id: 'b', content: [{ type: 'text', text: 'done' }] },
    { role: 'assistant', content: 'I looked.' },
    { role: 'user', content: 'and now?' },
  ],
};

/** What is put in the place of something: shapes that some client has sent once. */
const oddities: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  '',
  'x',
  '\ud83d',
  [],
  {},
  [null],
  [[]],
  [{}],
  { type: 'text' },
  { type: 'function' },
  { id: 'a' },
  { role: 'tool' },
  'rlm_stats',
  '__proto__',
  { __proto__: null },
  { id: 'a', type: 'custom' },
  { function: null, custom: null, id: 'z' },
  'constructor',
  'a'.repeat(3_000),
];

type Container = Record<string, unknown> | unknown[];

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function containersOf(value: unknown, found: Container[] = []): Container[] {
  if (typeof value !== 'object' || value === null) return found;
  found.push(value as Container);
  for (const inner of Object.values(value)) containersOf(inner, found);
  return found;
}

function mutate(body: unknown, random: () => number): void {
  const pick = <Item>(items: readonly Item[]): Item =>
    items[Math.floor(random() * items.length)] as Item;
  const container = pick(containersOf(body));
  const names = Object.keys(container);
  const name = pick(names);
  if (name === undefined) return;
  const members = container as Record<string, unknown>;
  const action = random();
  if (action < 0.25) {
    if (Array.isArray(container)) container.splice(Number(name), 1);
    else delete members[name];
  } else if (action < 0.4 && Array.isArray(container)) {
    container.splice(Number(name), 0, structuredClone(pick(container)));
  } else if (action < 0.55) {
    // Something from elsewhere in the body.
    const from = pick(containersOf(body)) as Record<string, unknown>;
    members[name] = structuredClone(from[pick(Object.keys(from))] ?? null);
  } else if (action < 0.65 && !Array.isArray(container)) {
    members[pick(['name', 'type', 'content', 'tool_calls', 'role', 'id', 'x', '__proto__'])] =
      structuredClone(pick(oddities));
  } else members[name] = structuredClone(pick(oddities));
}

/**
 * Sends mutated bodies to a proxy whose upstream takes everything, and gives back those that were
 * neither answered (200) nor refused as the request's own fault (4xx).
 */
export async function fuzzBodies(run: {
  readonly count: number;
  readonly seed: number;
}): Promise<readonly FuzzFailure[]> {
  const random = seeded(run.seed);
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env: { RLM_CAPTURE_MIN_CHARS: '100' } });
  upstream.otherwise(answer('ok'));
  const failures: FuzzFailure[] = [];
  for (let n = 0; n < run.count; n += 1) {
    if (n % 10 === 0) upstream.script(callTools({ name: 'rlm_stats', args: {}, id: `own_${n}` }));
    const value: unknown = structuredClone(whole);
    for (let left = 1 + Math.floor(random() * 4); left > 0; left -= 1) mutate(value, random);
    const body = JSON.stringify(value);
    const response = await proxy.post(body);
    const text = await response.text();
    if (response.status === 200 || (response.status >= 400 && response.status < 500)) continue;
    failures.push({ status: response.status, answer: text, body });
  }
  return failures;
}

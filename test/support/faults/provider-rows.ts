import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { storeCase } from '../../../src/bench/questions/storing.ts';
import { CliHome } from '../cli.ts';
import { longText, outputRequest, user } from '../conversation.ts';
import { answered, type ProviderFault, unreachable } from './provider-faults.ts';
import { startProxy, type TestProxy } from '../proxy.ts';
import {
  answer,
  callTools,
  type ScriptedReply,
  type ScriptedUpstream,
  startScriptedUpstream,
} from '../scripted-upstream.ts';
import { hurriedClock } from '../test-upstream.ts';
import { toolResult } from '../tool-results.ts';
import {
  errorWords,
  inTurn,
  logged,
  merged,
  plain,
  quoted,
  type Row,
  type Section,
  streamed,
  whole,
} from './seen.ts';

const request = { model: 'm', ...outputRequest(longText(60_000)) };
const search = callTools({ name: 'rlm_search', args: { pattern: 'line 7:' } });

/** What one request got, and what the log said from then on. */
interface Seen {
  readonly got: string;
  readonly log: string;
}

/** A proxy before a provider that fails, and its log. */
async function withFault<Result>(
  fault: ProviderFault,
  before: readonly ScriptedReply[],
  use: (proxy: TestProxy, upstream: ScriptedUpstream) => Promise<Result>,
): Promise<Result & { readonly log: string }> {
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  await using place = await fault.open?.();
  upstream.script(...before);
  if (fault.reply !== undefined) upstream.otherwise(fault.reply);
  await using proxy = await startProxy({
    upstream,
    clock: hurriedClock,
    env: { ...fault.env, ...(place && { RLM_UPSTREAM_BASE_URL: place.baseURL }) },
    onLog: (line) => lines.push(line),
  });
  lines.length = 0;
  const result = await use(proxy, upstream);
  return { ...result, log: logged(lines) };
}

async function ask(
  fault: ProviderFault,
  before: readonly ScriptedReply[],
  stream: boolean,
): Promise<Seen> {
  return withFault(fault, before, async (proxy) => {
    const response = await proxy.post({ ...request, stream });
    return { got: stream ? await streamed(response) : await whole(response) };
  });
}

async function providerRows(
  faults: readonly ProviderFault[],
  before: readonly ScriptedReply[],
): Promise<readonly Row[]> {
  return inTurn(faults, async (fault) => {
    const [plainly, live] = await Promise.all([
      ask(fault, before, false),
      ask(fault, before, true),
    ]);
    return [fault.what, plainly.got, live.got === plainly.got ? 'the same' : live.got, live.log];
  });
}

/** A sub-model that fails: the model is told, and answers. */
async function subModelRow(fault: ProviderFault): Promise<Row> {
  const seen = await withFault(fault, [], async (proxy, upstream) => {
    let told: Record<string, unknown> = {};
    upstream.otherwise((asked) => {
      if (asked.body.tools === undefined) return fault.reply!;
      const { role: who, content } = asked.body.messages.at(-1)!;
      if (who !== 'tool')
        return callTools({ name: 'rlm_query', args: { question: 'Which is red?' } });
      told = toolResult(content);
      return answer('Done.');
    });
    const { sessionId } = await storeCase(proxy.app.sessions, '/project', [
      { path: 'items.txt', chunks: () => ['item 1: red\n'] },
    ]);
    const { message } = await proxy.ask(
      { messages: [user('Which is red?')] },
      { 'x-rlm-session': sessionId },
    );
    expect(message.content).toBe('Done.');
    const { answers, error } = told as {
      readonly answers?: readonly { readonly answer?: string; readonly failed?: string }[];
      readonly error?: string;
    };
    return { got: error ?? answers?.[0]?.failed ?? quoted(answers?.[0]?.answer ?? '') };
  });
  return [fault.what, plain(seen.got), seen.log];
}

/** One fault of each kind: what is particular to a fault stands in the tables above. */
const toldInAll = [...unreachable, ...answered].filter(({ what }) =>
  /^(nobody|401|400: prompt|429: again|500|it breaks after|silence after|a page)/.test(what),
);

/** The same question in the other protocols, each in a project of its own. */
const otherFaces = [
  {
    path: '/messages',
    body: { max_tokens: 100, messages: [{ role: 'user', content: 'What went wrong?' }] },
  },
  { path: '/responses', body: { input: 'What went wrong?' } },
] as const;

/** How other protocols tell of it: whole, then streamed. */
async function facesRow(fault: ProviderFault): Promise<Row> {
  const cells = await Promise.all(
    otherFaces.flatMap(({ path, body }) =>
      [false, true].map(async (stream) => {
        const { got } = await withFault(fault, [], async (proxy) => {
          const response = await fetch(`${proxy.baseURL}${path}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
            body: JSON.stringify({ model: 'm', stream, ...body }),
          });
          return { got: `**${response.status}** ${faceWords(await response.text())}` };
        });
        return got;
      }),
    ),
  );
  return [fault.what, ...cells];
}

/** The last object of an answer that speaks of an error, as its protocol writes it. */
function faceWords(text: string): string {
  const objects = [...text.matchAll(/^(?:data: )?(\{.*\})$/gm)].map(
    ([, json = '']) => JSON.parse(json) as Record<string, unknown>,
  );
  const last = objects.findLast(({ error, response }) =>
    [error, (response as { error?: unknown } | undefined)?.error].some((said) => said != null),
  );
  if (last === undefined) return 'an answer';
  const { type, error, response } = last as {
    type?: string;
    error?: { type?: string; code?: string; message: string };
    response?: { error: { code: string; message: string } };
  };
  const { message, ...names } = error ?? response!.error;
  const event = response === undefined ? '' : `\`${type}\`, `;
  return `${event}\`${'type' in names ? names.type : names.code}\`: ${plain(message)}`;
}

/** A provider that fails, and another one that is named as its fallback. */
async function fallbackRow(fault: ProviderFault): Promise<Row> {
  const lines: string[] = [];
  await using failing = await startScriptedUpstream();
  if (fault.reply !== undefined) failing.otherwise(fault.reply);
  await using place = await fault.open?.();
  await using second = await startScriptedUpstream();
  second.otherwise(answer('From the other one.'));
  using home = new CliHome();
  const providers = {
    first: { baseURL: place?.baseURL ?? failing.baseURL, fallback: ['second.m'] },
    second: { baseURL: second.baseURL },
  };
  const path = join(home.dataDir, '.config/rlm-opencode/config.jsonc');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify({ providers }));
  await using proxy = await startProxy({
    dataDir: home.dataDir,
    clock: hurriedClock,
    env: { ...fault.env },
    onLog: (line) => lines.push(line),
  });
  lines.length = 0;
  const asked = { model: 'first.m', messages: [user('What went wrong?')] };
  const got = await streamed(await proxy.post({ ...asked, stream: true }));
  return [fault.what, got, logged(lines)];
}

/** What is passed through to a provider that fails. */
async function passedRow(fault: ProviderFault): Promise<Row> {
  const seen = await withFault(fault, [], async (proxy, upstream) => {
    upstream.others = fault.reply;
    const response = await fetch(`${proxy.baseURL}/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', input: 'A text.' }),
    });
    return { got: await passedAnswer(response) };
  });
  return [fault.what, seen.got, seen.log];
}

/** It comes as the provider gives it, so it may break in the middle, too. */
async function passedAnswer(response: Response): Promise<string> {
  if (response.status >= 400) return whole(response);
  const text = await response.text().catch(() => undefined);
  if (text === undefined) return `**${response.status}**, then the connection breaks`;
  const last = /data: (\{"error":.*\})\s*$/.exec(text)?.[1];
  if (last === undefined) return `**${response.status}** as it came`;
  const { error } = JSON.parse(last) as { error: { code?: string; message: string } };
  return `**${response.status}** as it came, last an error: ${errorWords(error)}`;
}

/** What else is asked of a provider that fails: its models; and what is not. */
async function besideRow(fault: ProviderFault): Promise<Row> {
  const seen = await withFault(fault, [], async (proxy, upstream) => {
    if (fault.reply !== undefined) upstream.models = fault.reply;
    const listed = await fetch(`${proxy.baseURL}/models`);
    const { data } = (await listed.json()) as { data: { id: string }[] };
    const counted = await fetch(`${proxy.baseURL}/messages/count_tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
      body: JSON.stringify({ model: 'm', messages: [user('How long is this?')] }),
    });
    return {
      got: `**${listed.status}** ${data.map(({ id }) => `\`${id}\``).join(', ')}`,
      count: `**${counted.status}** ${await counted.text()}`,
    };
  });
  return [fault.what, seen.got, plain(seen.count), seen.log];
}

const sides = ['What fails', 'Whole answer', 'Streamed answer', 'Log'];

/** What is seen of a provider that fails. */
export async function providerSections(): Promise<readonly Section[]> {
  // Most of the time goes by in silences: they pass side by side.
  const [first, hidden, sub, faces, fallback, passed, beside] = await Promise.all([
    providerRows([...unreachable, ...answered], []),
    providerRows(answered, [search]),
    inTurn(answered, subModelRow),
    inTurn(toldInAll, facesRow),
    inTurn([...unreachable, ...answered], fallbackRow),
    inTurn([...unreachable, ...answered], passedRow),
    inTurn([...unreachable, ...answered], besideRow),
  ]);
  return [
    {
      title: 'The provider, at the first step of a turn',
      text: 'Until the first word a failure has a status; a stream that has begun ends with an error frame and without `[DONE]`. What may pass is tried again, four times with longer and longer waits; what will not pass is said at once.',
      head: sides,
      rows: first,
    },
    {
      title: 'The provider, at a hidden step',
      text: 'The model has called a tool of ours, and the next step fails. A stream has begun with lines of progress by then (`progress`); a whole answer has none of them.',
      head: sides,
      rows: hidden,
    },
    {
      title: 'The provider, asked by a sub-model',
      text: 'The model that asked is told, and answers with what it has; the client sees no failure.',
      head: ['What fails', 'The model is told', 'Log'],
      rows: sub,
    },
    {
      title: 'A provider that has a fallback',
      text: 'What another provider may do better goes to the fallback, before the first word; a refusal of the request itself does not.',
      head: ['What fails', 'Streamed answer', 'Log'],
      rows: fallback,
    },
    {
      title: 'The same in other protocols',
      text: 'A failure before the first word is an error of the protocol, with its status; later it is its last event.',
      head: [
        'What fails',
        '`/v1/messages`, whole',
        'streamed',
        '`/v1/responses`, whole',
        'streamed',
      ],
      rows: faces,
    },
    {
      title: 'What is passed through (`/v1/embeddings` and its like)',
      text: 'Nothing is tried again, and what has begun comes as the provider gives it.',
      head: ['What fails', 'Answer', 'Log'],
      rows: passed,
    },
    {
      title: 'Lists of models, and counts of tokens',
      text: 'The list has what the settings name, whatever the provider says; `rlm-opencode doctor` tells what is wrong with it. Tokens are counted here, and nobody is asked.',
      head: ['What fails', '`GET /v1/models`', '`POST /v1/messages/count_tokens`', 'Log'],
      rows: merged(beside),
    },
  ];
}

import { expect, it } from 'vitest';
import { cutEvery, postPieces } from '../../support/pieces.ts';
import { startPair } from '../../support/proxy.ts';
import { answer } from '../../support/scripted-upstream.ts';

/** Messages as clients in other languages write them. */
const written: readonly string[] = [
  String.raw`{"role": "system", "content": "Be brief."}`,
  String.raw`{"role":"user","content":"Wo ist K\u00f6ln?\/ \ud83d\ude42","weight":1.0,"x":1e2,"id":12345678901234567890}`,
  '{ "content" : "Am Rhein 🙂.",\n\t"role" : "assistant" }',
  '{"role":"user","content":"not this","content":"And Rome?"}',
  String.raw`{"\u0072ole":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{ \"a\" : 1.0 }"}}]}`,
  '{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"","cache_control":{}}],"x":-0.0}',
  '{"role":"user","content":"Thanks.","n":[1.50,{"a":1,"a":2}],"":{}}',
];

const head = '"temperature":1.0,"seed":12345678901234567890,"logit_bias":{"50256":-1e2}';

function bodyOf(messages: readonly (string | Uint8Array)[], separator = ','): Buffer {
  const list = messages.flatMap((message, at) => {
    const bytes = Buffer.from(message as string);
    return at === 0 ? [bytes] : [Buffer.from(separator), bytes];
  });
  return Buffer.concat([
    Buffer.from(`{"model":"rlm-internal.rlm-core-v1",${head},"messages":[`),
    ...list,
    Buffer.from(']}'),
  ]);
}

/** The list of messages of a request that went upstream, and what stands before it. */
function parts(rawBody: Buffer): { readonly before: string; readonly list: string } {
  const text = rawBody.toString();
  const at = text.indexOf('"messages":[');
  expect(text.endsWith(']}')).toBe(true);
  return { before: text.slice(0, at), list: text.slice(at + '"messages":['.length, -2) };
}

it('a small chat goes up as it came, to the byte, and in every turn the same', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  upstream.otherwise(answer('Yes.'));
  for (const count of [2, 4, 6, 7, 7]) {
    const { status } = await postPieces(proxy, [bodyOf(written.slice(0, count))]);
    expect(status).toBe(200);
    const { before, list } = parts(upstream.requests.at(-1)!.rawBody);
    expect(list).toBe(written.slice(0, count).join(','));
    for (const member of head.split(',"')) expect(before).toContain(member);
  }
  // Python’s clients put a space behind each comma.
  await postPieces(proxy, [bodyOf(written, ', ')]);
  const { list } = parts(upstream.requests.at(-1)!.rawBody);
  expect(list.replaceAll(/\}, (?=\{ ?"(?:role|content|\\u0072ole)")/g, '},')).toBe(
    written.join(','),
  );
});

it('does so however it arrives, the first time and when it is known', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  upstream.otherwise(answer('Yes.'));
  const body = bodyOf(written);
  const whole = async (pieces: Iterable<Uint8Array>): Promise<string> => {
    expect((await postPieces(proxy, pieces)).status).toBe(200);
    return upstream.requests.at(-1)!.rawBody.toString();
  };
  const first = await whole(cutEvery(body, 1));
  expect(parts(Buffer.from(first)).list).toBe(written.join(','));
  expect(await whole(cutEvery(body, 1))).toBe(first);
  for (let at = 1; at < body.length; at += 7)
    expect(await whole([body.subarray(0, at), body.subarray(at)]), `cut at ${at}`).toBe(first);
});

it('only what no provider could read is written anew: broken UTF-8, and a null that some refuse', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  upstream.otherwise(answer('Yes.'));
  const broken = Buffer.concat([
    Buffer.from('{"role":"user","content":"a'),
    Buffer.from([0xff]),
    Buffer.from('"}'),
  ]);
  const nulled = '{"role": "assistant", "content": "On the Tiber.", "tool_calls": null}';
  const body = bodyOf([written[0]!, broken, nulled, written[3]!]);
  for (const sizeBytes of [body.length, 1, body.length]) {
    await postPieces(proxy, cutEvery(body, sizeBytes));
    expect(parts(upstream.requests.at(-1)!.rawBody).list).toBe(
      [
        written[0],
        '{"role":"user","content":"a\uFFFD"}',
        '{"role":"assistant","content":"On the Tiber."}',
        written[3],
      ].join(','),
    );
  }
});

it('a title or a summary that the client itself asks for goes up untouched, whatever is known of it', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  upstream.otherwise(answer('A title.'));
  const output = JSON.stringify('a line of an output\n'.repeat(2_000));
  const messages = [
    '{"role":"system","content":"You are."}',
    '{"role":"user","content":"Run it."}',
    '{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"bash","arguments":"{}"}}]}',
    `{"role":"tool","tool_call_id":"c","content":${output}}`,
  ];
  const tools = '[{"type":"function","function":{"name":"bash","parameters":{"type":"object"}}}]';
  const chat = { 'x-session-id': 'chat' };
  const main = `{"model":"m","tools":${tools},"messages":[${messages.join(',')}]}`;
  const here = { baseURL: proxy.baseURL, headers: { ...chat, 'x-rlm-directory': '/project' } };
  await postPieces(here, [Buffer.from(main)]);
  await postPieces({ baseURL: proxy.baseURL, headers: chat }, [bodyOf(messages)]);
  const [first, helper] = upstream.requests.map(({ rawBody }) => parts(rawBody).list);
  expect(first!.length).toBeLessThan(output.length / 4);
  expect(helper).toBe(messages.join(','));
});

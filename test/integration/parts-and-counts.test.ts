import { describe, expect, it } from 'vitest';
import type { Message, Usage } from '../../src/wire/types.ts';
import { bytesOf, expectWellFormed } from '../property/weave-checks.ts';
import { clientTools, longText, systemFor, user } from '../support/conversation.ts';
import { startPair, windowOf } from '../support/proxy.ts';
import {
  done,
  finish,
  reply,
  role,
  text,
  usage,
  type Reply,
} from '../support/scripted-upstream.ts';

function counted(counts: Partial<Usage>): Reply {
  const all = { prompt_tokens: 100, completion_tokens: 9, total_tokens: 109, ...counts };
  return reply(role(), text('Seen.'), finish(), usage(all), done());
}

const seen: Message = { role: 'assistant', content: 'Seen.' };

/** A picture of `length` characters that differs from the others. */
function shot(number: number, length: number): Message {
  const url = `data:image/png;base64,${Buffer.from(`shot ${number} `).toString('base64')}${'QUJDRA'.repeat(length / 6)}`;
  return {
    role: 'user',
    content: [
      { type: 'text', text: `shot ${number}` },
      { type: 'image_url', image_url: { url } },
    ],
  };
}

function imagesIn(messages: readonly Message[]): number {
  return bytesOf(messages).split('data:image/png').length - 1;
}

/** An honest count: a token for 3.6 bytes of text, 1,500 for a picture. */
function honest(messages: readonly Message[]): Reply {
  const bare = bytesOf(messages).replaceAll(/data:image[^"]*/g, '').length;
  return counted({ prompt_tokens: Math.round(bare / 3.6) + imagesIn(messages) * 1_500 });
}

describe('pictures', () => {
  it('cost what pictures cost: five screenshots stay in the prompt', async () => {
    await using setup = await startPair(windowOf(128_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(({ body }) => honest(body.messages));
    const messages: Message[] = [systemFor('/work/shots')];
    for (let number = 0; number < 5; number += 1) {
      messages.push(shot(number, 700_000));
      await proxy.ask({ messages, tools: clientTools });
      messages.push(seen);
    }
    await proxy.ask({ messages: [...messages, user('compare shots 0 and 3')], tools: clientTools });
    expect(imagesIn(upstream.requests.at(-1)?.body.messages ?? [])).toBe(5);
    expect(upstream.requests.at(-1)?.body.messages).toHaveLength(12);
  });

  it('of a megabyte in the newest message take no message before it out', async () => {
    await using setup = await startPair(windowOf(128_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(({ body }) => honest(body.messages));
    const messages: Message[] = [systemFor('/work/first')];
    for (let turn = 0; turn < 8; turn += 1) messages.push(user(`Question ${turn}?`), seen);
    messages.push(shot(0, 1_500_000));
    await proxy.ask({ messages, tools: clientTools });
    expect(bytesOf(upstream.requests[0]?.body.messages ?? [])).toBe(bytesOf(messages));
  });

  it.each([
    [
      'documents',
      (data: string) => ({
        type: 'file',
        file: { file_data: `data:application/pdf;base64,${data}` },
      }),
    ],
    [
      'recordings',
      (data: string) => ({ type: 'input_audio', input_audio: { data, format: 'wav' } }),
    ],
  ])('and %s stay in the prompt, too, while what they cost fits', async (_, partOf) => {
    await using setup = await startPair(windowOf(128_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(counted({ prompt_tokens: 9_000 }));
    const messages: Message[] = [systemFor('/work/others')];
    for (let number = 0; number < 3; number += 1) {
      const content = [partOf(Buffer.from(`${number}`.repeat(500_000)).toString('base64'))];
      messages.push({ role: 'user', content }, seen, user(`And ${number}?`));
      await proxy.ask({ messages, tools: clientTools });
      messages.push(seen);
    }
    for (const { body } of upstream.requests)
      expect(bytesOf(messages).startsWith(bytesOf(body.messages))).toBe(true);
  });

  it('that must leave go oldest first, are kept beside the texts, and the note says so', async () => {
    await using setup = await startPair(windowOf(16_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(({ body }) => honest(body.messages));
    const messages: Message[] = [systemFor('/work/many')];
    for (let number = 0; number < 10; number += 1) messages.push(shot(number, 6_000), seen);
    messages.push(user('compare'));
    await proxy.ask({ messages, tools: clientTools });
    const sent = upstream.requests[0]?.body.messages ?? [];
    expectWellFormed(sent);
    const left = imagesIn(sent);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(8);
    expect(bytesOf(sent)).toContain('shot 9');
    const note = sent.find(({ content }) => String(content).startsWith('[rlm] The earlier part'));
    expect(String(note?.content)).toContain(`${10 - left} images`);
    const session = await proxy.app.sessions.forDirectory('/work/many', { create: false });
    const kept = session?.store.entries.filter((entry) => entry.original !== undefined) ?? [];
    expect(kept).toHaveLength(10 - left);
    expect(kept[0]?.original?.sizeBytes).toBeGreaterThan(4_400);
  });
});

describe('the spelling of a text', () => {
  it('does not decide: escaped and plain, the same conversation is treated alike', async () => {
    const lengths: number[] = [];
    for (const escapes of [false, true]) {
      await using setup = await startPair(windowOf(32_000));
      const { upstream, proxy } = setup;
      upstream.otherwise(counted({}));
      const messages: Message[] = [systemFor('/work/script')];
      for (let turn = 0; turn < 10; turn += 1)
        messages.push(user(`第${turn}个问题：${'请看这段文字。'.repeat(230)}`), seen);
      messages.push(user('然后呢？'));
      const json = JSON.stringify({ model: 'm', messages, tools: clientTools });
      const escaped = json.replaceAll(
        /[\u0080-\uffff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
      const response = await proxy.post(escapes ? escaped : json);
      expect(response.status).toBe(200);
      await response.text();
      lengths.push(upstream.requests[0]?.body.messages.length ?? 0);
    }
    expect(lengths).toEqual([22, 22]);
  });
});

describe('a count that cannot be true', () => {
  const chat = (): Message[] => [systemFor('/work/counts'), user('Begin.'), seen];

  /** About 125 KB in 32 messages. */
  function conversation(): Message[] {
    const messages = chat();
    for (let turn = 0; turn < 14; turn += 1) messages.push(user(longText(8_500, `t${turn}`)), seen);
    return [...messages, user('And?')];
  }

  it('takes nothing out of the prompt, and is told once', async () => {
    const lines: string[] = [];
    await using setup = await startPair(windowOf(128_000), { onLog: (line) => lines.push(line) });
    const { upstream, proxy } = setup;
    const wrong = counted({ prompt_tokens: 5_000_000, total_tokens: 5_000_009 });
    upstream.script(wrong, wrong);
    upstream.otherwise(({ rawBody }) =>
      counted({ prompt_tokens: Math.round(rawBody.length / 3.7) }),
    );
    const messages = conversation();
    for (let turn = 0; turn < 4; turn += 1) {
      await proxy.ask({ messages, tools: clientTools });
      messages.push(seen, user(`And ${turn}?`));
    }
    expect(upstream.requests.map(({ body }) => body.messages.length)).toEqual([32, 34, 36, 38]);
    expect(lines.filter((line) => line.includes('cannot be true'))).toHaveLength(1);
  });

  it('does not let the prompt outgrow the window, where what was cached is counted apart', async () => {
    await using setup = await startPair(windowOf(32_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(({ rawBody }) =>
      counted({
        prompt_tokens: 1_500,
        cache_read_input_tokens: Math.max(0, Math.round(rawBody.length / 3.6) - 1_500),
      }),
    );
    const messages = chat();
    for (let turn = 0; turn < 20; turn += 1) {
      messages.push(user(longText(8_500, `t${turn}`)));
      await proxy.ask({ messages, tools: clientTools });
      messages.push(seen);
    }
    for (const { rawBody } of upstream.requests)
      expect(rawBody.length / 3.6).toBeLessThan(32_000 * 0.75);
  });
});

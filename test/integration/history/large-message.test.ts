import crypto, { Hash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, expect, it, vi } from 'vitest';
import { clientTools, systemFor, user } from '../../support/conversation.ts';
import { cutEvery, postPieces } from '../../support/pieces.ts';
import { startPair } from '../../support/proxy.ts';
import { answer } from '../../support/scripted-upstream.ts';
import { bytesOf, expectPrefix } from '../../property/weave-checks.ts';

afterEach(uncounted);

function uncounted(): void {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
}

/** Sizes of all that this process parses, decodes or hashes in one go from here on. */
function watchSteps(): readonly number[] {
  const sizes: number[] = [];
  const see = (
    target: object,
    name: string,
    sizeOf: (args: readonly unknown[], result: unknown) => number,
  ): void => {
    const call = Reflect.get(target, name) as (...args: unknown[]) => unknown;
    vi.spyOn(target as Record<string, () => unknown>, name).mockImplementation(function seen(
      this: unknown,
      ...args: unknown[]
    ) {
      const result: unknown = Reflect.apply(call, this, args);
      sizes.push(sizeOf(args, result));
      return result;
    });
  };
  const length = (value: unknown): number =>
    typeof value === 'string' || ArrayBuffer.isView(value)
      ? ((value as { length?: number }).length ?? 0)
      : 0;
  see(JSON, 'parse', ([text]) => length(text));
  see(Buffer.prototype, 'toString', (_, text) => length(text));
  see(TextDecoder.prototype, 'decode', (_, text) => length(text));
  see(Hash.prototype, 'update', ([data]) => length(data));
  see(crypto, 'hash', ([, data]) => length(data));
  syncBuiltinESMExports();
  return sizes;
}

it('a message of 8 MB holds up nobody: it is read in small steps, and who comes behind it is answered first', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  upstream.otherwise(answer('Seen.'));
  // What is needed for the first time is there by then.
  await proxy.ask({ messages: [user('hi')] });
  const text = `${'a "line"\tof π 🙂 about a fox\n'.repeat(230_000)}\n\nWhat is it about?`;
  const messages = [systemFor('/work/large'), user(text)];
  const body = Buffer.from(JSON.stringify({ model: 'm', tools: clientTools, messages }));
  const order: string[] = [];
  const steps = watchSteps();
  let other: Promise<unknown> | undefined;
  function* pieces(): Generator<Uint8Array, void> {
    yield* cutEvery(body, 65_536);
    other = proxy.ask({ messages: [user('And this?')] }).then(() => order.push('the small one'));
  }
  const { status } = await postPieces(proxy, pieces());
  order.push('the large one');
  await other;
  const largest = Math.max(...steps);
  uncounted();
  expect(status).toBe(200);
  expect(order).toEqual(['the small one', 'the large one']);
  expect(steps.length).toBeGreaterThan(20);
  expect(largest).toBeLessThanOrEqual(1_048_576);
  const [, , first] = upstream.requests;
  expect(String(first!.body.messages.at(-1)!.content)).toContain('What is it about?');
  expect(first!.rawBody.length).toBeLessThan(100_000);
  // All of it is in the store, and the next turn repeats its stub.
  const session = await proxy.app.sessions.forDirectory('/work/large', { create: false });
  const [entry] = session?.store.entries ?? [];
  expect(entry?.kind).toBe('user_text');
  expect(entry === undefined ? '' : await session?.store.readEntry(entry)).toBe(text);
  const next = [...messages, { role: 'assistant' as const, content: 'Seen.' }, user('Really?')];
  await proxy.ask({ messages: next, tools: clientTools });
  expectPrefix(upstream.requests.at(-1)!.body.messages, bytesOf(first!.body.messages));
});

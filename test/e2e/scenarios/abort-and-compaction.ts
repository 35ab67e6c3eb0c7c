import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { PlainRequest } from '../../../src/wire/types.ts';
import { Gate, reply, role, text, type RecordedRequest } from '../../support/scripted-upstream.ts';
import { assertExtends, assertUntouched } from '../laws.ts';
import { logFile } from '../log-file.ts';
import { bash, call, kindOf, say, search, textOf, type Move } from '../model.ts';
import type { OpenCodeServer } from '../opencode.ts';
import { comes, patienceMs } from '../patience.ts';
import type { Play, Scene } from '../play.ts';
import { requestOf } from '../relay.ts';

/** What only OpenCode's server can be asked for: Esc at the worst moments, `/undo`, `/compact`. */
export function abortAndCompaction(): Play {
  const log = logFile('AB7718', 100_000);
  const endless: Move = () => reply(role(), text('It begins. '), new Gate());
  return {
    name: 'through opencode serve',
    script: {
      STREAMING: [endless],
      HIDDENLOOP: [call('HIDDENLOOP', log.print), call('HIDDENLOOP', search(log.token)), endless],
      SUBQUESTION: [endless],
      ASKINGSUB: [
        call('ASKINGSUB', {
          name: 'rlm_query',
          args: { question: 'SUBQUESTION: what is it about?', offset: 0, length: 5_000 },
        }),
      ],
      INTHESHELL: [call('INTHESHELL', search(log.token), bash('touch begun; sleep 600'))],
      AFTERWARDS: [call('AFTERWARDS', search(log.token)), say('It goes on.')],
      BIGLOG: [call('BIGLOG', log.print), call('BIGLOG', search(log.token)), say('Printed.')],
      AGAIN: [call('AGAIN', search(log.token), bash('echo again')), say('Asked once more.')],
      REMEMBER: [
        call('REMEMBER', search(log.token)),
        say((view) => `Still there: ${view.results[0]?.includes(log.line)}`),
      ],
    },
    run: async (scene) => {
      await log.write(scene.stage.project);
      await using server = await scene.stage.opencode.serve();
      await aborts(scene, server);
      await undo(scene, server);
      await compaction(scene, server);
    },
  };
}

async function aborts({ stage, check }: Scene, server: OpenCodeServer): Promise<void> {
  const { upstream } = stage;
  const session = await server.newSession('Aborting');
  /** Asks, waits for so many more requests upstream, then aborts; gives back the last one. */
  const abortAfter = async (asked: string, requests: number): Promise<RecordedRequest> => {
    const turn = server.ask(session, `${asked} please`);
    const last = await comes(
      `${asked}: a request upstream`,
      upstream.nthRequest(upstream.requests.length + requests),
    );
    await server.abort(session);
    // The reply would go on for ever: only the other side can end it.
    await comes(`${asked}: the end of the upstream's request`, last.ended);
    assert.ok(last.aborted, `${asked}: the upstream's request ended by itself`);
    await turn;
    return last;
  };
  await check('Esc while the model writes closes the request upstream', async () => {
    await abortAfter('STREAMING', 1);
  });
  await check('Esc while the hidden loop runs closes it too', async () => {
    const last = await abortAfter('HIDDENLOOP', 3);
    assert.match(textOf(last.body.messages.at(-1)), /checkpoint/);
  });
  await check('Esc while a sub-model is asked closes that', async () => {
    const last = await abortAfter('ASKINGSUB', 2);
    assert.match(textOf(last.body.messages.at(-1)), /SUBQUESTION/);
  });
  await check('Esc while a command of a mixed step runs ends the turn', async () => {
    const turn = server.ask(session, 'INTHESHELL please');
    await appears(join(stage.project, 'begun'));
    await server.abort(session);
    await turn;
  });
  await check('then the chat goes on, and nothing was asked in between', async () => {
    const before = upstream.requests.length;
    assert.equal(before, 7);
    assert.equal(await server.ask(session, 'AFTERWARDS please'), 'It goes on.');
    assert.equal(upstream.requests.length, before + 2);
    const last = upstream.requests.at(-1);
    assert.doesNotMatch(
      last?.rawBody.toString() ?? '',
      /[\u034f\u2063]/,
      'a progress line of ours',
    );
  });
  await check('with the hidden call of the mixed step that was aborted', () => {
    const messages = upstream.requests.at(-1)?.body.messages ?? [];
    const at = messages.findIndex(
      ({ tool_calls }) => tool_calls?.[0]?.id === 'call_INTHESHELL_0_0',
    );
    assert.ok(at > 0, 'the turn is in the history');
    const [found, shell] = messages.slice(at + 1).map(textOf);
    assert.ok(found?.includes('checkpoint'), found?.slice(0, 1_000));
    assert.doesNotMatch(shell ?? '', /checkpoint/);
  });
}

/** A question taken back with its answer, and another one asked instead. */
async function undo({ stage, check }: Scene, server: OpenCodeServer): Promise<void> {
  const { upstream } = stage;
  const session = await server.newSession('Undoing');
  await server.ask(session, 'BIGLOG please');
  const kept = upstream.requests.at(-1) as RecordedRequest;
  await server.ask(session, 'AGAIN please');
  await server.undo(session);
  await server.ask(session, 'AFTERWARDS please');
  await check('after an undo the request goes on from where the chat was before', () => {
    const [first] = upstream.requests.slice(-2);
    assertExtends(kept, first as RecordedRequest);
    assert.doesNotMatch(first?.rawBody.toString() ?? '', /AGAIN/);
  });
}

/** Waits until a command has made a file. @throws Error when it does not */
async function appears(path: string): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!existsSync(path)) {
    if (performance.now() > end) throw new Error(`${path} never came`);
    await setTimeout(100);
  }
}

async function compaction({ stage, check }: Scene, server: OpenCodeServer): Promise<void> {
  const { upstream, relay } = stage;
  const session = await server.newSession('Compacting');
  await server.ask(session, 'BIGLOG please');
  await server.compact(session);
  await check('a compaction goes upstream as OpenCode has sent it', () => {
    const sent = relay.exchanges.map(requestOf).filter((body) => kindOf(body) === 'compaction');
    const got = upstream.requests.filter(({ body }) => kindOf(body) === 'compaction');
    assert.equal(sent.length, 1);
    assert.equal(got.length, 1);
    assertUntouched(sent[0] as PlainRequest, got[0]?.body as PlainRequest);
  });
  await check('and what it dropped is still found', async () => {
    assert.equal(await server.ask(session, 'REMEMBER please'), 'Still there: true');
  });
}

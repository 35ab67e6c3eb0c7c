import assert from 'node:assert/strict';
import { assertWellFormed } from './laws.ts';
import { playScript, type Script } from './model.ts';
import type { Report } from './report.ts';
import { openStage, type Programs, type Stage, type StageOptions } from './stage.ts';

/** A stage with what a scenario needs on it. */
export interface Scene {
  readonly stage: Stage;
  readonly check: (name: string, run: () => void | Promise<void>) => Promise<void>;
}

/** What is played in one go on one stage. */
export interface Play {
  readonly name: string;
  readonly stage?: StageOptions;
  readonly script: Script;
  readonly run: (scene: Scene) => Promise<void>;
}

/** Plays it and checks what holds in every play. What was said in a play that failed is kept. */
export async function perform(play: Play, programs: Programs, report: Report): Promise<void> {
  let allHeld = true;
  const check = async (name: string, run: () => void | Promise<void>): Promise<void> => {
    allHeld = (await report.check(`${play.name}: ${name}`, run)) && allHeld;
  };
  const whole = async (): Promise<void> => {
    await using stage = await openStage(programs, play.stage);
    const { faults } = playScript(stage.upstream, play.script);
    let isOver = false;
    try {
      await play.run({ stage, check });
      isOver = true;
    } finally {
      await check('the model was asked what the script knows', () => assert.deepEqual(faults, []));
      await check('what went upstream is well-formed', () => {
        for (const { body } of stage.upstream.requests) assertWellFormed(body.messages);
      });
      await check('OpenCode saw no tool of ours', () => assertUnseen(stage));
      if (!allHeld || !isOver) await stage.keep();
    }
  };
  await check('played to its end, all stopped', whole);
}

function assertUnseen({ opencode, relay }: Stage): void {
  assert.doesNotMatch(opencode.said, /rlm_/, "OpenCode's output");
  for (const { responseBody, requestBody } of relay.exchanges) {
    assert.doesNotMatch(responseBody, /rlm_/, 'an answer to OpenCode');
    // Nor did a call of ours come back as something that OpenCode has made of it.
    assert.doesNotMatch(requestBody.toString(), /rlm_|"name":"invalid"/, 'a request of OpenCode');
  }
}

import assert from 'node:assert/strict';
import { callName } from '../../../src/wire/calls.ts';
import { Gate, reply, role, text, type RecordedRequest } from '../../support/scripted-upstream.ts';
import { assertExtends, assertWellFormed } from '../laws.ts';
import { logFile, type LogFile } from '../log-file.ts';
import { call, say, search, textOf, type Move, type Script } from '../model.ts';
import { patienceMs } from '../patience.ts';
import type { Program } from '../process.ts';
import type { Report } from '../report.ts';
import { isTurn, playForClient } from './client-model.ts';
import { openClientStage, type ClientStage } from './client-stage.ts';
import type { PlayedClient } from './played-clients.ts';

/** What is tried with each client: the columns of the table in `docs/clients.md`. */
export const behaviours = [
  'a chat',
  '2 MB of output',
  'goes on in a new process',
  "a provider's cache",
  'a long pasted text',
  'a step with our call and its own',
  'two projects at once',
  'abort',
] as const;

/** Of each behaviour what was seen, in a few words for a person. */
export type Seen = Readonly<Record<(typeof behaviours)[number], string>>;

/** What stands in the table where a check did not hold. */
const fault = '**fault**';

/** A client that has done nothing on Ctrl-C after this time does not heed it, and is ended. */
const heedsWithinMs = 60_000;

/** Lines of a log that a request may still hold: what stubs show of its ends, twice. */
const maxLinesLeft = 200;

/** Plays every behaviour of one client on one stage, in the order in which its user would meet them. */
export async function playClient(
  client: PlayedClient,
  {
    programs,
    clientPath,
    report,
  }: {
    readonly programs: Parameters<typeof openClientStage>[1];
    readonly clientPath: string;
    readonly report: Report;
  },
): Promise<Seen> {
  const seen = Object.fromEntries(behaviours.map((name) => [name, fault])) as Record<
    keyof Seen,
    string
  >;
  const logs = logsOf(client);
  let allHeld = true;
  const check = async (name: string, run: () => void | Promise<void>): Promise<boolean> => {
    const held = await report.check(`${client.title}: ${name}`, run);
    allHeld &&= held;
    return held;
  };
  const behave = async (name: keyof Seen, run: () => string | Promise<string>): Promise<void> => {
    await check(name, async () => {
      seen[name] = await run();
    });
  };
  await check('played to its end, all stopped', async () => {
    await using stage = await openClientStage(client, programs, clientPath);
    const { faults } = playForClient(stage.upstream, scriptOf(client, logs));
    let isOver = false;
    try {
      await chatAndOutput(client, { stage, logs, behave });
      await later(client, { stage, logs, behave });
      isOver = true;
    } finally {
      await check('the model was asked what the script knows', () => assert.deepEqual(faults, []));
      await check('what went upstream is well-formed', () => {
        for (const { body } of stage.upstream.requests) assertWellFormed(body.messages);
      });
      await check('its user saw no tool of ours', () => assert.doesNotMatch(stage.said, /rlm_/));
      if (!allHeld || !isOver) await stage.keep();
    }
  });
  return seen;
}

interface Logs {
  readonly large: LogFile;
  readonly pasted: LogFile;
  /** One in each project. */
  readonly own: readonly [LogFile, LogFile];
}

/** An argument may have 128 KiB on Linux. */
const pastedBytes = { stdin: 300_000, argument: 100_000 } as const;

function logsOf({ question }: PlayedClient): Logs {
  return {
    large: logFile('ZX4417', 2_000_000),
    pasted: logFile('PA6402', pastedBytes[question]),
    own: [logFile('HERE31', 24_000), logFile('THERE8', 24_000)],
  };
}

function scriptOf(client: PlayedClient, { large, pasted, own }: Logs): Script {
  const print = ({ name }: LogFile): ReturnType<PlayedClient['shell']> =>
    // Some clients drop what they have not read yet when a command ends.
    client.shell(`cat ${name}; sleep 1`);
  const atOnce = (cue: string, mine: LogFile, theirs: LogFile): readonly Move[] => [
    ...(client.leavesLittle === true ? [] : [call(cue, print(mine))]),
    call(cue, search(mine.token), search(theirs.token)),
    say(`Both were looked for in ${cue}.`),
  ];
  return {
    CHATTING: [call('CHATTING', client.shell('echo hello')), say('It said hello.')],
    LARGEOUTPUT: [
      call('LARGEOUTPUT', print(large)),
      ...(client.leavesLittle === true
        ? []
        : [
            call('LARGEOUTPUT', search(large.token), client.shell('echo from-the-shell')),
            call('LARGEOUTPUT', search('no such line anywhere')),
          ]),
      say('The log has been searched.'),
    ],
    GOESON: [call('GOESON', search('finished a job')), say('It goes on from there.')],
    PASTEDTEXT: [
      call('PASTEDTEXT', search(pasted.token), client.shell('echo from-the-shell')),
      call('PASTEDTEXT', search('no such line anywhere')),
      say('The pasted text was searched.'),
    ],
    ATONCEHERE: atOnce('ATONCEHERE', own[0], own[1]),
    ATONCETHERE: atOnce('ATONCETHERE', own[1], own[0]),
    FOREVER: [() => reply(role(), text('It begins. '), new Gate())],
  };
}

interface Playing {
  readonly stage: ClientStage;
  readonly logs: Logs;
  readonly behave: (name: keyof Seen, run: () => string | Promise<string>) => Promise<void>;
}

/** The requests that came while something was asked, without those that are no turn of a chat. */
async function turnsOf(
  { upstream }: ClientStage,
  run: () => Promise<unknown>,
): Promise<readonly RecordedRequest[]> {
  const before = upstream.requests.length;
  await run();
  return upstream.requests.slice(before).filter(({ body }) => isTurn(body));
}

async function chatAndOutput(
  client: PlayedClient,
  { stage, logs: { large }, behave }: Playing,
): Promise<void> {
  const [project] = stage.projects;
  await behave('a chat', async () => {
    const turns = await turnsOf(stage, async () => {
      const { stdout } = await stage.ask('CHATTING please');
      assert.match(stdout, /It said hello\./);
    });
    assert.equal(turns.length, 2);
    assert.match(textOf(turns[1]?.body.messages.at(-1)), /hello/);
    return 'yes';
  });
  await large.write(project);
  let turns: readonly RecordedRequest[] = [];
  await behave('2 MB of output', async () => {
    turns = await turnsOf(stage, async () => {
      const { stdout } = await stage.ask('LARGEOUTPUT please');
      assert.match(stdout, /The log has been searched\./);
    });
    for (const turn of turns) assertLeft(turn, large);
    if (client.leavesLittle === true) {
      assert.equal(turns.length, 2);
      return `cut by it: ${resultsIn(turns[1])[0]?.length} characters come, and stay`;
    }
    assert.equal(turns.length, 4);
    const output = resultsIn(turns[1])[0] ?? '';
    const found = resultsIn(turns[2])[0] ?? '';
    const nothing = resultsIn(turns[3])[0] ?? '';
    if (client.keeps === 'whole') {
      assert.ok(found.includes(large.line), found.slice(0, 2_000));
      assert.doesNotMatch(nothing, /Not all is known/);
      return 'its file is read: stored and found whole';
    }
    assert.match(nothing, /Not all is known/);
    assert.match(output, /NOT complete: the client had cut it before/);
    if (client.keeps === 'nothing') return 'cut by it: the stub and a search say so';
    assert.match(output, /: \d{6,} characters/);
    return 'its file has the last 10,000 rows: stored, and the stub and a search say so';
  });
  let goneOn: readonly RecordedRequest[] = [];
  await behave('goes on in a new process', async () => {
    if (client.goesOnOnlyIn !== undefined) return `not run: only in ${client.goesOnOnlyIn}`;
    const [first, second] = await turnsOf(stage, async () => {
      const { stdout } = await stage.ask('GOESON please', { isContinued: true });
      assert.match(stdout, /It goes on from there\./);
    });
    const names = first?.body.messages.flatMap(({ tool_calls }) => tool_calls?.map(callName) ?? []);
    const hidden = names?.filter((name) => name === 'rlm_search').length;
    assert.equal(hidden, 2, `the hidden steps are there: ${names?.join(' ')}`);
    assert.match(resultsIn(second)[0] ?? '', /finished a job/);
    goneOn = [first, second].filter((turn) => turn !== undefined);
    return 'with its hidden steps';
  });
  await behave("a provider's cache", () => {
    // With the first text that leaves the prompt our tools come in, once.
    const [, ...active] = turns;
    for (const [index, turn] of active.slice(1).entries())
      assertExtends(active[index] as RecordedRequest, turn);
    const [first, second] = goneOn;
    if (first === undefined) return 'each prompt of a turn begins with the one before';
    assertExtends(first, second as RecordedRequest);
    return extendsIt(turns.at(-1), first)
      ? 'each prompt begins with the one before'
      : 'holds within a turn; a new process writes its prompt anew';
  });
}

async function later(client: PlayedClient, { stage, logs, behave }: Playing): Promise<void> {
  const { pasted, own } = logs;
  const { upstream, projects } = stage;
  let mixed: RecordedRequest | undefined;
  await behave('a long pasted text', async () => {
    const turns = await turnsOf(stage, async () => {
      const { stdout } = await stage.ask(`${pasted.text}\nPASTEDTEXT please`);
      assert.match(stdout, /The pasted text was searched\./);
    });
    assert.equal(turns.length, 3);
    [, mixed] = turns;
    for (const turn of turns) assertLeft(turn, pasted);
    assert.ok(resultsIn(turns[1])[0]?.includes(pasted.line), resultsIn(turns[1])[0]);
    return `${pastedBytes[client.question] / 1000} KB leave the prompt, are found`;
  });
  await behave('a step with our call and its own', () => {
    const [turn, , shell] = mixed?.body.messages.slice(-3) ?? [];
    assert.deepEqual(turn?.tool_calls?.map(callName), ['rlm_search', client.shell('').name]);
    assert.match(textOf(shell), /from-the-shell/);
    return 'both results, in order';
  });
  await behave('two projects at once', async () => {
    await Promise.all(own.map(async (log, index) => log.write(projects[index] as string)));
    const turns = await turnsOf(stage, async () =>
      Promise.all([
        stage.ask(questionOf(client, 'ATONCEHERE', own[0])),
        stage.ask(questionOf(client, 'ATONCETHERE', own[1]), { project: projects[1] }),
      ]),
    );
    for (const [index, cue] of ['ATONCEHERE', 'ATONCETHERE'].entries()) {
      const mine = own[index] as LogFile;
      const theirs = own[1 - index] as LogFile;
      const last = turns.findLast(({ body }) => JSON.stringify(body.messages).includes(cue));
      const [found, nothing] = resultsIn(last);
      assert.ok(found?.includes(mine.line), `${cue} finds its own: ${found}`);
      assert.ok(!nothing?.includes(theirs.line), `${cue} finds the other's: ${nothing}`);
    }
    return 'never mix';
  });
  await behave('abort', async () => {
    // What a user types; and what closes the connection without a word.
    const typed = await abortBy(stage, (program) => program.interrupt(), heedsWithinMs);
    if (!typed) assert.ok(await abortBy(stage, (program) => program.stop()));
    const told = typed ? 'Ctrl-C' : 'its end';
    if (client.hasDaemon === true) return `${told} closes the request upstream`;
    assert.ok(await abortBy(stage, (program) => program.kill()), 'a killed client is noticed');
    assert.equal(upstream.requests.at(-1)?.aborted, true);
    return `${told} and a kill close the request upstream`;
  });
}

/** Whether a request upstream that goes on for ever is closed when its client is told to end so. */
async function abortBy(
  stage: ClientStage,
  tell: (program: Program) => unknown,
  withinMs = patienceMs,
): Promise<boolean> {
  const from = stage.upstream.requests.length + 1;
  const program = stage.begin('FOREVER please');
  try {
    const open = await program.until(turnNamed(stage, 'FOREVER', from));
    await Promise.all([tell(program), endOf(open, AbortSignal.timeout(withinMs))]);
    return open.aborted;
  } finally {
    program.kill();
  }
}

function extendsIt(
  before: RecordedRequest | undefined,
  after: RecordedRequest | undefined,
): boolean {
  try {
    assertExtends(before as RecordedRequest, after as RecordedRequest);
    return true;
  } catch (error) {
    process.stdout.write(`# ${String(error).replaceAll('\n', '\n# ')}\n`);
    return false;
  }
}

/** Where an output never leaves the prompt, the text is pasted: then it does. */
function questionOf(client: PlayedClient, cue: string, { text }: LogFile): string {
  return client.leavesLittle === true ? `${text}\n${cue} please` : `${cue} please`;
}

/** Waits for a request with these words, from the one of this number on. */
async function turnNamed(
  { upstream }: ClientStage,
  words: string,
  from: number,
): Promise<RecordedRequest> {
  for (let number = from; ; number += 1) {
    const request = await upstream.nthRequest(number);
    const isIt = JSON.stringify(request.body.messages.at(-1)).includes(words);
    if (isIt && isTurn(request.body)) return request;
  }
}

async function endOf({ ended }: RecordedRequest, late: AbortSignal): Promise<void> {
  await Promise.race([
    ended,
    new Promise((resolve) => {
      late.addEventListener('abort', resolve, { once: true });
    }),
  ]);
}

/** The results behind the last answer in a request. */
function resultsIn(request: RecordedRequest | undefined): readonly string[] {
  const messages = request?.body.messages ?? [];
  const lastTurnAt = messages.findLastIndex(({ role }) => role === 'assistant');
  return messages
    .slice(lastTurnAt + 1)
    .filter(({ role }) => role === 'tool')
    .map(textOf);
}

/** Of a log no more than a stub shows is in the request. @throws AssertionError */
function assertLeft({ rawBody }: RecordedRequest, { text }: LogFile): void {
  const words = 'finished a job without any trouble';
  const lines = rawBody.toString().split(words).length - 1;
  const all = text.split(words).length - 1;
  assert.ok(lines < maxLinesLeft, `${lines} of ${all} lines are still in the prompt`);
}

import { Command } from 'commander';
import type { ComparedRequest } from '../replay/recorded-upstream.ts';
import type { ReplayedTurn } from '../replay/replay.ts';
import { withReplayProxy } from './replay-proxy.ts';
import { exitCodes, finish } from './run.ts';
import { jsonText, print } from './screen.ts';

/** `rlm-opencode replay`: recorded turns against the present code. */
export function replayCommand(): Command {
  return new Command('replay')
    .description('run recorded turns (RLM_TRACE_DIR) against this version, without a provider')
    .argument('<dir>', 'what RLM_TRACE_DIR named, or the folder of one turn in it')
    .option('--json', 'print the results as JSON')
    .action(async (dir: string, flags: { readonly json?: boolean }) => replay(dir, flags));
}

async function replay(dir: string, { json }: { readonly json?: boolean }): Promise<void> {
  // Loaded only here: the other commands start sooner without it.
  const [{ turnFolders }, { replayTurns }] = await Promise.all([
    import('../replay/recorded-turn.ts'),
    import('../replay/replay.ts'),
  ]);
  const folders = await turnFolders(dir);
  const turns: ReplayedTurn[] = [];
  await withReplayProxy({}, async (open) => {
    for await (const turn of replayTurns(folders, open)) {
      turns.push(turn);
      if (json !== true) print(turnText(turn));
    }
  });
  const count = (outcome: ReplayedTurn['outcome']): number =>
    turns.filter((turn) => turn.outcome === outcome).length;
  const sums = { same: count('same'), different: count('different'), unplayed: count('unplayed') };
  if (json === true) print(`${jsonText({ ...sums, turns })}\n`);
  else
    print(
      `${turns.length} ${turns.length === 1 ? 'turn' : 'turns'}: ${sums.same} the same, ${sums.different} different, ${sums.unplayed} not played.\n`,
    );
  finish(sums.same === turns.length ? exitCodes.done : exitCodes.nothing);
}

/** What came of a turn, in lines. */
export function turnText(turn: ReplayedTurn): string {
  const { folder, requestId, receivedAtMs, outcome, requests, notes } = turn;
  const when = receivedAtMs === undefined ? '' : `${new Date(receivedAtMs).toISOString()} `;
  const name = requestId ?? folder.slice(folder.lastIndexOf('/') + 1);
  const sent = `${requests.length} ${requests.length === 1 ? 'request' : 'requests'}`;
  const said = { same: 'the same', different: 'DIFFERENT', unplayed: 'not played' }[outcome];
  const lines = [`${when}${name}  ${sent}  ${said}`];
  for (const request of requests) lines.push(...requestLines(request));
  lines.push(...notes.map((note) => `  note: ${note.replaceAll('\n', '\n  ')}`));
  return `${lines.join('\n')}\n`;
}

function requestLines({ number, difference, isMissing }: ComparedRequest): readonly string[] {
  if (number === undefined) return ['  one request more is sent than was recorded'];
  if (isMissing === true) return [`  request ${number} is not sent any more`];
  if (difference === undefined) return [];
  const { where, atChars, recorded, now } = difference;
  const at = atChars === undefined ? '' : `, character ${atChars}`;
  return [
    `  request ${number} differs at ${where}${at}`,
    `    recorded  ${quoted(recorded)}`,
    `    now       ${quoted(now)}`,
  ];
}

function quoted(text: string | undefined): string {
  return text === undefined ? '(nothing)' : JSON.stringify(text);
}

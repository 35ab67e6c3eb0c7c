import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Config } from '../config/resolve.ts';
import type { ComparedRequest } from '../replay/recorded-upstream.ts';
import type { ReplayedTurn, ReplayProxy, ReplayProxyParts } from '../replay/replay.ts';
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
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-replay-'));
  const turns: ReplayedTurn[] = [];
  try {
    for await (const turn of replayTurns(folders, async (parts) => openProxy(dataDir, parts))) {
      turns.push(turn);
      if (json !== true) print(turnText(turn));
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
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

/** A proxy with the settings of a trace; nothing of this machine's own settings is in it. */
async function openProxy(dataDir: string, parts: ReplayProxyParts): Promise<ReplayProxy> {
  const [{ openApp }, { recordedConfig }, { silentLogger }, { readVersion }, { TokenGauge }] =
    await Promise.all([
      import('../app.ts'),
      import('../config/recorded.ts'),
      import('../log.ts'),
      import('./version.ts'),
      import('../prompt/token-gauge.ts'),
    ]);
  const token = randomBytes(32).toString('hex');
  const { clock, ids, settings, upstreamOrigin } = parts;
  const config: Config = recordedConfig(settings, { dataDir, token, upstreamOrigin });
  const gauge = new TokenGauge(clock);
  const app = await openApp({
    config,
    version: readVersion(),
    log: silentLogger(),
    clock,
    ids,
    // What varies from run to run is only how long an attempt waits, and here none does.
    random: () => 0,
    gauge,
    notesPlaces: false,
    // Commands have nothing to ask of it.
    operations: () => ({ run: noOperation }),
  });
  return {
    origin: await app.server.listen(),
    token,
    sessions: app.sessions,
    assume: (gaugeKey, learned) => gauge.assume(gaugeKey, learned),
    [Symbol.asyncDispose]: async () => app[Symbol.asyncDispose](),
  };
}

async function* noOperation(): AsyncGenerator<never> {
  // Nothing to tell.
}

function turnText(turn: ReplayedTurn): string {
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

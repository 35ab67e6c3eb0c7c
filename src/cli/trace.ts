import { mkdir, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { countOf, grouped } from '../base/numbers.ts';
import { toProxyError, ProxyError } from '../errors.ts';
import type { ReplayedTurn } from '../replay/replay.ts';
import { turnText } from './replay.ts';
import { withReplayProxy } from './replay-proxy.ts';
import { exitCodes, finish } from './run.ts';
import { jsonText, print, printError } from './screen.ts';
import { writeFault } from './write-fault.ts';

/** A turn that cannot be written down goes on without its trace, here as in a server. */
function notWritten(missing: number, turns: number, traceDir: string): ProxyError {
  const fault = writeFault(traceDir);
  const why = fault === undefined ? '' : ` ${fault.message}`;
  return new ProxyError(
    fault?.code ?? 'internal',
    `${grouped(missing)} of ${countOf(turns, 'turn')} could not be written to ${traceDir}.${why}`,
    { hint: 'What is there is not all: name another folder, on a disk with room.' },
  );
}

/** `rlm-opencode trace`: what was written down, and what may be given away of it. */
export function traceCommand(): Command {
  return new Command('trace')
    .description('turns that were written down (RLM_TRACE_DIR): list them, take their words out')
    .addCommand(
      new Command('list')
        .description('list recorded turns: when, which model, how many requests, how it ended')
        .argument('[dir]', 'absent: where RLM_TRACE_DIR or `trace.dir` says')
        .option('--json', 'print the list as JSON')
        .action(async (dir: string | undefined, flags: { readonly json?: boolean }) =>
          list(dir, flags),
        ),
    )
    .addCommand(
      new Command('scrub')
        .description(
          'write recorded turns anew without their words, to be given away with a report',
        )
        .argument('<dir>', 'what RLM_TRACE_DIR named, or the folder of one turn in it')
        .argument('<out>', 'a new folder')
        .action(scrub),
    );
}

async function list(
  given: string | undefined,
  { json }: { readonly json?: boolean },
): Promise<void> {
  const { readTurn, turnFolders } = await import('../replay/recorded-turn.ts');
  const listed: object[] = [];
  for (const folder of await turnFolders(given ?? (await settingsDir()))) {
    const name = folder.slice(folder.lastIndexOf('/') + 1);
    try {
      const { receivedAtMs, models, exchanges, bodyBytes, ms, end } = await readTurn(folder);
      const receivedAt = new Date(receivedAtMs).toISOString();
      const names = [...new Set(models.map(({ upstream, model }) => `${upstream}.${model}`))];
      const requests = exchanges.length;
      listed.push({ folder: name, receivedAt, models: names, requests, bodyBytes, ms, end });
      const ended = end.ok ? '' : `  ${end.code ?? 'failed'}`;
      if (json !== true)
        print(
          `${name}  ${names.join(', ')}  ${countOf(requests, 'request')}  ${grouped(bodyBytes)} bytes  ${grouped(ms)} ms${ended}\n`,
        );
    } catch (error) {
      const { message } = toProxyError(error);
      listed.push({ folder: name, fault: message });
      if (json !== true) print(`${name}  ${message}\n`);
    }
  }
  if (json === true) print(`${jsonText(listed)}\n`);
}

/** @throws ProxyError `invalid_request` where nothing is written down */
async function settingsDir(): Promise<string> {
  const { loadConfig } = await import('../config/load.ts');
  const { dir } = loadConfig().config.trace;
  if (dir !== undefined) return dir;
  throw new ProxyError('invalid_request', 'No turns are written down: RLM_TRACE_DIR is not set.', {
    hint: 'Name the folder: `rlm-opencode trace list DIR`.',
  });
}

async function scrub(dir: string, out: string): Promise<void> {
  const [{ turnFolders }, { replayTurns }, { TurnScrubber }] = await Promise.all([
    import('../replay/recorded-turn.ts'),
    import('../replay/replay.ts'),
    import('../replay/scrub/scrub.ts'),
  ]);
  const folders = await turnFolders(dir);
  const traceDir = resolve(out);
  await mkdir(traceDir, { recursive: true, mode: 0o700 });
  if ((await readdir(traceDir)).length > 0)
    throw new ProxyError('invalid_request', `${JSON.stringify(out)} is not empty.`, {
      hint: 'Name a folder that is not there yet.',
    });
  const turns: ReplayedTurn[] = [];
  await withReplayProxy({ traceDir }, async (open) => {
    for await (const turn of replayTurns(folders, open, new TurnScrubber())) {
      turns.push(turn);
      print(turnText(turn));
    }
  });
  const played = turns.filter(({ outcome }) => outcome !== 'unplayed');
  const same = turns.filter(({ outcome }) => outcome === 'same');
  const missing = played.length - (await readdir(traceDir)).length;
  if (missing > 0) throw notWritten(missing, played.length, traceDir);
  print(
    `${countOf(played.length, 'turn')} written to ${JSON.stringify(out)}, ${same.length} of them with the shape that they had.\n`,
  );
  printError(
    'Words are others now; what stays: models, the names of JSON members and common tools, numbers outside of texts, times. Look through it before you give it away.\n',
  );
  finish(same.length === turns.length ? exitCodes.done : exitCodes.nothing);
}

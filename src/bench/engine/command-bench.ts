import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { writeCorpus } from './corpus-file.ts';
import { corpusNeedle } from '../corpus-text.ts';

/** What a command takes as a process, from its start to its end. */
interface CommandTime {
  readonly name: string;
  /** Median, milliseconds. */
  readonly medianMs: number;
  /** Of a Node that does nothing, in the same run. */
  readonly timesNode: number;
  /** The most that is wanted; absent where nothing is. */
  readonly wantedTimes?: number;
}

/**
 * Everything `bench command` measures. All processes run on one machine, in one run, turn about.
 */
export interface CommandBench {
  readonly machine: string;
  readonly chars: number;
  readonly times: readonly CommandTime[];
}

/** How to measure. */
interface CommandBenchOptions {
  /** The program that is started, as a script for Node. */
  readonly program: string;
  /** Size of the store that is searched, characters. */
  readonly chars: number;
  readonly rounds: number;
  readonly onStep: (step: string) => unknown;
}

/** A command and where it runs. */
interface Measured {
  readonly name: string;
  readonly args: readonly string[];
  readonly dataDir: string;
  readonly wantedTimes?: number;
  /** Measured until it says this on standard output; then it is ended. Absent: until it ends. */
  readonly until?: string;
}

/**
 * Starts each command several times, turn about with a Node that does nothing, so that whatever
 * else the machine does falls on all.
 */
export async function benchCommands(options: CommandBenchOptions): Promise<CommandBench> {
  const { program, chars, rounds, onStep } = options;
  const folder = await mkdtemp(join(tmpdir(), 'rlm-bench-command-'));
  let server: ChildProcess | undefined;
  try {
    onStep(`storing ${chars} characters`);
    const { textPath } = writeCorpus(join(folder, 'corpus'), chars, 1);
    const [held, alone] = [join(folder, 'held'), join(folder, 'alone')];
    for (const dataDir of [held, alone]) {
      await measure(program, {
        name: '',
        args: ['ingest', textPath, '--directory', folder],
        dataDir,
      });
    }
    server = start(program, { name: '', args: ['serve', '--port', '0'], dataDir: held });
    await said(server, 'listening on');
    const measured = commandsOn(folder, { held, alone, empty: join(folder, 'empty') });
    const times = new Map<string, number[]>(measured.map(({ name }) => [name, []]));
    const nodeMs: number[] = [];
    // The first round fills caches and is not counted.
    for (let round = 0; round <= rounds; round += 1) {
      onStep(`round ${round} of ${rounds}`);
      const startMs = performance.now();
      await ended(spawn(process.execPath, ['-e', '0']));
      if (round > 0) nodeMs.push(performance.now() - startMs);
      for (const one of measured) {
        const ms = await measure(program, one);
        if (round > 0) times.get(one.name)?.push(ms);
      }
    }
    const base = median(nodeMs);
    return {
      machine: `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}`,
      chars,
      times: [
        { name: 'node -e 0', medianMs: base, timesNode: 1 },
        ...measured.map(({ name, wantedTimes }) => {
          const medianMs = median(times.get(name) ?? []);
          const time = { name, medianMs, timesNode: medianMs / base };
          return wantedTimes === undefined ? time : Object.assign({ wantedTimes }, time);
        }),
      ],
    };
  } finally {
    if (server !== undefined) await stopped(server);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The results as a Markdown table, each beside what is wanted of it. */
export function commandBenchTable({ machine, chars, times }: CommandBench): string {
  const rows = [
    ['', 'median', 'times `node -e 0`', 'wanted'],
    ['---', '---:', '---:', '---'],
    ...times.map(({ name, medianMs, timesNode, wantedTimes }) => [
      name,
      `${medianMs.toFixed(0)} ms`,
      `${timesNode.toFixed(1)}x`,
      wantedTimes === undefined ? '' : `at most ${wantedTimes}x`,
    ]),
  ];
  const size = `${chars.toLocaleString('en-US')} characters stored`;
  return `${machine}; ${size}\n\n${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

function commandsOn(
  folder: string,
  places: { readonly held: string; readonly alone: string; readonly empty: string },
): readonly Measured[] {
  const { held, alone, empty } = places;
  const search = ['search', '-c', corpusNeedle, '--directory', folder];
  return [
    { name: '`--version`', args: ['--version'], dataDir: empty },
    { name: '`config`, a server runs', args: ['config'], dataDir: held, wantedTimes: 4 },
    { name: '`sessions`, through it', args: ['sessions'], dataDir: held, wantedTimes: 4 },
    { name: '`search -c`, through it', args: search, dataDir: held, wantedTimes: 4 },
    { name: '`search -c`, no server', args: search, dataDir: alone, wantedTimes: 8 },
    {
      name: '`serve`, until it listens',
      args: ['serve', '--port', '0'],
      dataDir: empty,
      until: 'listening on',
    },
  ];
}

/** Milliseconds until a command has ended, or said what it is waited for to say. */
async function measure(program: string, measured: Measured): Promise<number> {
  const { until } = measured;
  const startMs = performance.now();
  const child = start(program, measured);
  await (until === undefined ? ended(child) : said(child, until));
  const ms = performance.now() - startMs;
  await stopped(child);
  return ms;
}

function start(program: string, { args, dataDir }: Measured): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    // Nothing of the user's own configuration may take part.
    env: {
      PATH: process.env['PATH'],
      HOME: dataDir,
      RLM_DATA_DIR: dataDir,
      RLM_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

async function said(child: ChildProcess, words: string): Promise<void> {
  let text = '';
  for await (const bytes of child.stdout ?? []) {
    text += String(bytes);
    if (text.includes(words)) return;
  }
  throw new Error(`A command ended without saying "${words}": ${text}`);
}

async function ended(child: ChildProcess): Promise<void> {
  child.stdout?.resume();
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`A command ended with ${code}: ${child.spawnargs.join(' ')}`);
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

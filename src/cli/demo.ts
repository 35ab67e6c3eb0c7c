import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { styleText } from 'node:util';
import { Command } from 'commander';
import type { BenchDocument } from '../bench/questions/cases.ts';
import { haystack } from '../bench/questions/haystack.ts';
import { injectHeader } from '../clients/origin.ts';
import { systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { IngestProgress } from '../ingest/progress.ts';
import { coreModelId } from '../wire/core-model.ts';
import { streamChat, type StreamedAnswer } from './chat-client.ts';
import { startChildServer, type ChildServer } from './child-server.ts';
import { grouped } from '../base/numbers.ts';
import { charCount } from './numbers.ts';
import { callOver, fetchLines } from './operations-client.ts';
import { ProgressLine } from './progress-line.ts';
import { showStep } from './step-tree.ts';
import { printJson, printStyled, visible } from './screen.ts';

/** What a demo found out; times in seconds. */
interface DemoReport {
  readonly question: string;
  readonly steps: readonly string[];
  readonly answer: string;
  readonly found: boolean;
  readonly storedChars: number;
  /** Characters of all requests that went upstream, near enough: they are ASCII. */
  readonly sentChars: number;
  readonly seconds: { readonly make: number; readonly store: number; readonly ask: number };
  readonly peakMemoryBytes: number;
  readonly model: string;
}

const needle = 'the harbour lamp is lit at 04:17 by keeper Ines';
const needleLine = `NOTE to whoever finds this: ${needle} (beacon-7741)`;
const question = 'What does the note about "beacon-7741" say?';

/**
 * `rlm-opencode demo`: shows that something in 100 million characters is found again, without a
 * key.
 */
export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'make a haystack, store it, and ask for the needle through the real server; needs no key',
    )
    .option(
      '--chars <number>',
      'size of the haystack in characters, such as 100M or 1G',
      charCount,
      100_000_000,
    )
    .option('--seed <number>', 'another seed makes another haystack', Number, 1)
    .option('--json', 'JSON for machines')
    .action(async (options: { chars: number; seed: number; json?: boolean }) => {
      const report = await runDemo(options.chars, options.seed);
      if (options.json === true) printJson(report, 2);
      else printStyled(transcript(report));
      if (!report.found) throw new ProxyError('internal', 'The demo did not find its needle.');
    });
}

async function runDemo(chars: number, seed: number): Promise<DemoReport> {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-demo-'));
  const line = new ProgressLine();
  try {
    await using child = await startChildServer(join(folder, 'data'));
    const made = await timed(async () =>
      writeHaystack(join(folder, 'haystack'), { chars, seed, line }),
    );
    const stored = await timed(async () => storeHaystack(child, folder, line));
    line.clear();
    const asked = await timed(async () => ask(child, folder));
    const health = (await (await fetch(`${child.server.address}/health`)).json()) as {
      upstreamBytes: number;
    };
    return {
      question,
      steps: asked.result.steps,
      answer: asked.result.text,
      found: asked.result.text.includes(needle),
      storedChars: stored.result,
      sentChars: health.upstreamBytes,
      seconds: { make: made.seconds, store: stored.seconds, ask: asked.seconds },
      peakMemoryBytes: await child.peakMemoryBytes(),
      model: 'built-in script, not a language model',
    };
  } finally {
    line.clear();
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeHaystack(
  folder: string,
  {
    chars,
    seed,
    line,
  }: { readonly chars: number; readonly seed: number; readonly line: ProgressLine },
): Promise<void> {
  let written = 0;
  const count = (size: number): void => {
    written += size;
    line.bar(
      written / chars,
      `making a haystack: ${grouped(written)} of ${grouped(chars)} characters`,
    );
  };
  for (const document of haystack(seed, chars, {
    name: 'logs',
    inserts: [{ depth: 0.62, line: needleLine }],
  })) {
    const path = join(folder, document.path);
    await mkdir(dirname(path), { recursive: true });
    await pipeline(counted(document, count), createWriteStream(path));
  }
}

function* counted(
  document: BenchDocument,
  count: (size: number) => void,
): Generator<string, void, void> {
  for (const chunk of document.chunks()) {
    count(chunk.length);
    yield chunk;
  }
}

/** Returns the characters stored. */
async function storeHaystack(
  { server }: ChildServer,
  folder: string,
  line: ProgressLine,
): Promise<number> {
  const call = callOver((asked) => fetchLines(server, asked));
  const directory = join(folder, 'haystack');
  await call('ingest', { directory, paths: ['.'], workingDirectory: directory }, (said) => {
    const { bytes, totalBytes, bytesPerSecond } = said as IngestProgress;
    const rate = `${Math.round(bytesPerSecond / 1e6)} MB/s`;
    line.bar(
      totalBytes === undefined ? 0 : bytes / totalBytes,
      `storing: ${grouped(bytes)} bytes, ${rate}`,
    );
  });
  const stats = (await call('tool', {
    directory,
    climb: false,
    name: 'rlm_stats',
    arguments: {},
  })) as { text: string };
  return (JSON.parse(stats.text) as { characters: number }).characters;
}

async function ask({ server }: ChildServer, folder: string): Promise<StreamedAnswer> {
  return streamChat(
    {
      baseURL: `${server.address}/v1`,
      model: coreModelId,
      headers: {
        'x-rlm-directory': encodeURIComponent(join(folder, 'haystack')),
        [injectHeader]: 'always',
      },
      messages: [{ role: 'user', content: question }],
    },
    { onStep: showStep },
  );
}

async function timed<Result>(
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly seconds: number }> {
  const startMs = systemClock.elapsedMs();
  const result = await work();
  return { result, seconds: (systemClock.elapsedMs() - startMs) / 1000 };
}

function transcript(report: DemoReport): string {
  const { seconds, storedChars, sentChars } = report;
  const lines = [
    `${bold('asked')}     ${report.question}`,
    ...report.steps.map(
      (step, index) => `${index === 0 ? bold('hidden') : '      '}    ${dim(`→ ${visible(step)}`)}`,
    ),
    `${bold('answer')}    ${visible(report.answer.trim()).replaceAll('\n', '\n          ')}`,
    '',
    `${bold('stored')}    ${grouped(storedChars)} characters`,
    `${bold('sent')}      ${grouped(sentChars)} characters upstream, in all ${report.steps.length + 1} steps: ${grouped(Math.round(storedChars / sentChars))} times less`,
    `${bold('time')}      made ${seconds.make.toFixed(1)} s, stored ${seconds.store.toFixed(1)} s, answered ${seconds.ask.toFixed(2)} s`,
    `${bold('memory')}    ${Math.round(report.peakMemoryBytes / 1e6)} MB at the most, the server's process`,
    dim(
      `The answer comes from the ${report.model}; store, search, tools and loop are the real ones.`,
    ),
    '',
  ];
  return lines.join('\n');
}

function dim(text: string): string {
  return styleText('dim', text);
}

function bold(text: string): string {
  return styleText('bold', text);
}

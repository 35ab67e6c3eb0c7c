/**
 * The real OpenCode against the built proxy and a scripted upstream, without a network: `npm run
 * test:e2e`.
 *
 * Finds or installs OpenCode, builds the package into a temporary folder, then starts itself again
 * in a network namespace that has only the loopback interface, where the machine allows it, and
 * plays the scenarios there.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { interruptedCode, runAlone } from './alone.ts';
import { findOpencode } from './opencode-binary.ts';
import { buildPackage } from './package-build.ts';
import { perform, type Play } from './play.ts';
import { killPrograms } from './process.ts';
import { Report } from './report.ts';
import { abortAndCompaction } from './scenarios/abort-and-compaction.ts';
import { attachedAndFetched } from './scenarios/attached-and-fetched.ts';
import { bigOutput } from './scenarios/big-output.ts';
import { mixedStep } from './scenarios/mixed-step.ts';
import { oddDirectory } from './scenarios/odd-directory.ts';
import { smallChat } from './scenarios/small-chat.ts';
import { stumblingUpstream } from './scenarios/stumbling-upstream.ts';
import { subagents } from './scenarios/subagents.ts';
import type { Programs } from './stage.ts';

/** The second start: what the first one has found, as JSON. */
const insideVariable = 'RLM_E2E_PROGRAMS';

const exitCodes = { ok: 0, failed: 1, interrupted: interruptedCode } as const;

/** Most of a play is OpenCode starting, one core full. */
const playsAtOnce = 2;

/** The longest first. */
const plays: Play[] = [
  oddDirectory(),
  mixedStep(),
  abortAndCompaction(),
  bigOutput({ isLifted: true }),
  bigOutput({ isLifted: false }),
  subagents(),
  stumblingUpstream(),
  attachedAndFetched(),
  smallChat(),
];

async function prepare(): Promise<void> {
  const binary = await findOpencode(process.env);
  if (!binary.ok) {
    process.stdout.write(`skipped: no OpenCode to test with (${binary.reason})\n`);
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'rlm-opencode-e2e-'));
  const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  const built = await buildPackage(checkout, join(folder, 'package'));
  if (built.fault === undefined) {
    const programs: Programs = {
      opencode: binary.path,
      packageFolder: built.folder,
      folder,
      path: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    };
    const env = { ...process.env, [insideVariable]: JSON.stringify(programs) };
    process.exitCode = await runAlone(process.execPath, process.argv.slice(1), env);
  } else {
    process.stdout.write(`not ok - the package builds\n${built.fault}\n0 passed, 1 failed\n`);
    process.exitCode = exitCodes.failed;
  }
  if (process.exitCode === exitCodes.failed) process.stdout.write(`# kept ${folder}\n`);
  else await rm(folder, { recursive: true, force: true });
}

/** Names of plays may be given as arguments: those whose name contains one are played. */
async function playAll(programs: Programs): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killPrograms();
      process.exit(exitCodes.interrupted);
    });
  }
  const words = process.argv.slice(2);
  const isWanted = ({ name }: Play): boolean => words.some((word) => name.includes(word));
  const waiting = words.length === 0 ? plays : plays.filter(isWanted);
  const report = new Report();
  const playNext = async (): Promise<void> => {
    for (let play = waiting.shift(); play !== undefined; play = waiting.shift())
      await perform(play, programs, report);
  };
  await Promise.all(Array.from({ length: playsAtOnce }, playNext));
  process.stdout.write(`${report.passed} passed, ${report.failed} failed\n`);
  process.exitCode = report.failed === 0 ? exitCodes.ok : exitCodes.failed;
}

const inside = process.env[insideVariable];
if (inside === undefined) await prepare();
else await playAll(JSON.parse(inside) as Programs);

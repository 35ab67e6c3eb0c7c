/**
 * The real OpenCode, and the other clients there are, against the built proxy and a scripted
 * upstream, without a network: `npm run test:e2e`.
 *
 * Finds or installs the clients, builds the package into a temporary folder, then starts itself
 * again in a network namespace that has only the loopback interface, where the machine allows it,
 * and plays there: OpenCode its scenarios, every client what all of them can do. Words behind `--`
 * choose plays by name (`chromium`: the page; `mcp`: the tools without the proxy); with `--docs`, too, what was seen of the clients goes into
 * `docs/clients.md`, and pictures of the page into `docs/page/`.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { interruptedCode, runAlone } from './alone.ts';
import { playClient } from './clients/client-play.ts';
import { type Outcome, writeOutcomes } from './clients/page.ts';
import { type PlayedClient, playedClients } from './clients/played-clients.ts';
import { inspector, mcpClients, playMcp } from './mcp/mcp-play.ts';
import { findProgram, type Found } from './npm-program.ts';
import { findOpencode, opencodePackage } from './opencode-binary.ts';
import { playPage } from './page/page-play.ts';
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

/** What the second start is told. */
interface Prepared {
  readonly programs: Omit<Programs, 'opencode'>;
  /** By the client's id; clients that nobody asked for are not in it. */
  readonly found: Readonly<Record<string, Found>>;
  /** Path of the browser that the page is looked at with, where that is wanted. */
  readonly browser?: string;
}

/** The page, looked at in a browser. */
const pagePlay = 'page in chromium';

/** The tools over the Model Context Protocol, asked by programs of others. */
const mcpPlay = 'mcp';

/** Debian's. */
const browserPath = '/usr/bin/chromium';

const flags = new Set(process.argv.slice(2).filter((word) => word.startsWith('--')));
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Names of plays may be given as arguments: those whose name contains one are played. */
function isWanted(name: string): boolean {
  return words.length === 0 || words.some((word) => name.includes(word));
}

function playName({ id }: PlayedClient): string {
  return `client ${id}`;
}

async function prepare(): Promise<void> {
  const found: Record<string, Found> = {};
  for (const client of playedClients) {
    const isOpencode = client.id === opencodePackage.id;
    const isNeeded = isOpencode && plays.some(({ name }) => isWanted(name));
    const isMcp = isWanted(mcpPlay) && mcpClients.includes(client.id);
    if (!isNeeded && !isMcp && !isWanted(playName(client))) continue;
    found[client.id] = isOpencode
      ? await findOpencode(process.env)
      : await findProgram(client, process.env);
  }
  if (isWanted(mcpPlay)) found[inspector.id] = await findProgram(inspector, process.env);
  for (const [id, binary] of Object.entries(found))
    if (!binary.ok) process.stdout.write(`skipped: no ${id} to test with (${binary.reason})\n`);
  const hasBrowser = isWanted(pagePlay) && existsSync(browserPath);
  if (isWanted(pagePlay) && !hasBrowser)
    process.stdout.write(`skipped: no browser to look at the page with (${browserPath})\n`);
  if (!hasBrowser && !Object.values(found).some(({ ok }) => ok)) return;
  const folder = await mkdtemp(join(tmpdir(), 'rlm-opencode-e2e-'));
  const built = await buildPackage(checkout, join(folder, 'package'));
  if (built.fault === undefined) {
    const prepared: Prepared = {
      programs: {
        packageFolder: built.folder,
        folder,
        path: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      },
      found,
      ...(hasBrowser ? { browser: browserPath } : {}),
    };
    const env = { ...process.env, [insideVariable]: JSON.stringify(prepared) };
    process.exitCode = await runAlone(process.execPath, process.argv.slice(1), env);
  } else {
    process.stdout.write(`not ok - the package builds\n${built.fault}\n0 passed, 1 failed\n`);
    process.exitCode = exitCodes.failed;
  }
  if (process.exitCode === exitCodes.failed) process.stdout.write(`# kept ${folder}\n`);
  else await rm(folder, { recursive: true, force: true });
}

async function playAll({ programs, found, browser }: Prepared): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killPrograms();
      process.exit(exitCodes.interrupted);
    });
  }
  const report = new Report();
  const outcomes = new Map<string, Outcome>();
  const page = join(checkout, 'docs', 'clients.md');
  const waiting: (() => Promise<void>)[] = [];
  if (browser !== undefined)
    waiting.push(async () =>
      playPage(browser, {
        packageFolder: programs.packageFolder,
        report,
        screenshots: flags.has('--docs') ? join(checkout, 'docs', 'page') : undefined,
      }),
    );
  if (isWanted(mcpPlay)) waiting.push(async () => playMcp(programs, found, report));
  const opencode = found[opencodePackage.id];
  if (opencode?.ok === true) {
    const all: Programs = { ...programs, opencode: opencode.path };
    for (const play of plays.filter(({ name }) => isWanted(name)))
      waiting.push(async () => perform(play, all, report));
  }
  for (const client of playedClients.filter((each) => isWanted(playName(each)))) {
    const binary = found[client.id];
    if (binary?.ok === true) {
      waiting.push(async () => {
        outcomes.set(
          client.id,
          await playClient(client, { programs, clientPath: binary.path, report }),
        );
        // At once: a run that is interrupted has shown something.
        if (flags.has('--docs')) writeOutcomes(page, outcomes);
      });
    } else outcomes.set(client.id, { reason: binary?.reason ?? 'not looked for' });
  }
  const playNext = async (): Promise<void> => {
    for (let play = waiting.shift(); play !== undefined; play = waiting.shift()) await play();
  };
  await Promise.all(Array.from({ length: playsAtOnce }, playNext));
  if (flags.has('--docs')) writeOutcomes(page, outcomes);
  process.stdout.write(`${report.passed} passed, ${report.failed} failed\n`);
  process.exitCode = report.failed === 0 ? exitCodes.ok : exitCodes.failed;
}

const inside = process.env[insideVariable];
if (inside === undefined) await prepare();
else await playAll(JSON.parse(inside) as Prepared);

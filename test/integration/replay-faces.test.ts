import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { CliHome, type CliResult } from '../support/cli.ts';
import { filesBelow, holds } from '../support/files-below.ts';
import { faceNeedles, recordMessages, recordResponses } from '../support/recorded-faces.ts';
import { readTraces } from '../support/trace.ts';

let folder = '';
let traces = '';
let out = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-replay-faces-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  traces = join(folder, 'traces');
  out = join(folder, 'out');
});

async function run(...args: readonly string[]): Promise<CliResult> {
  using home = new CliHome();
  return await home.runHere(args);
}

const faces = [
  ['messages', recordMessages],
  ['responses', recordResponses],
] as const;

describe.each(faces)('turns of /v1/%s', (_, record) => {
  it.each([[true], [false]])(
    'are played again and given away without their words (streamed: %s)',
    async (stream) => {
      await record({ traces, dataDir: join(folder, 'data'), stream });
      const replayed = await run('replay', traces);
      expect(replayed.stdout).toContain('3 turns: 3 the same, 0 different, 0 not played.');

      const before = (await filesBelow(traces)).map(({ bytes }) => String(bytes)).join('\n');
      const needles = Object.values(faceNeedles);
      expect(needles.filter((needle) => !holds(before, needle))).toEqual([]);

      const scrubbed = await run('trace', 'scrub', traces, out);
      expect(scrubbed.stdout).toContain('3 turns written');
      const after = await filesBelow(out);
      const left = after.flatMap(({ path, bytes }) =>
        needles.filter((needle) => holds(String(bytes), needle)).map((needle) => [path, needle]),
      );
      expect(left).toEqual([]);
      expect(scrubbed.stdout).toContain('3 of them with the shape that they had');

      // Whose it is and what is stored are still known; our state is still ours.
      const told = after.map(({ bytes }) => String(bytes)).join('\n');
      expect(told).toMatch(/"tool": "mcp__[a-z]{9}__[a-z_]+_[0-9a-f]{8}"/);
      // The model calls the tool by the name that was cut for it, and the client knows whose it is.
      const [first] = await readTraces(out);
      const { tools } = JSON.parse(String(await first!.bytes('request.body'))) as {
        tools: { name?: string; tools?: { name?: string }[] }[];
      };
      const all = tools.concat(tools.flatMap((tool) => tool.tools ?? []));
      const names = all.map(({ name }) => name);
      const long = names.find((name) => name !== undefined && name.length > 64);
      expect(String(await first!.bytes('answer.body'))).toContain(`"name":"${long}"`);

      // A threshold of a tool is that of the tool that it has become.
      const { settings } = await first!.json('settings.json');
      expect(JSON.stringify(settings)).toMatch(/"perTool":\{[^}]*"mcp__[a-z]{9}__[a-z_]+":20000/);

      const again = await run('replay', out);
      expect(again.stdout).toContain('3 turns: 3 the same');
    },
  );
});

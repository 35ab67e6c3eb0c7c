import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { CliHome, type CliResult } from '../support/cli.ts';
import { filesBelow, holds } from '../support/files-below.ts';
import { faceNeedles, recordMessages, recordResponses } from '../support/recorded-faces.ts';

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
      expect(told).toMatch(/"tool": "mcp__[a-z]{9}__[a-z]{4}"/);
      expect(told).toMatch(/"(?:signature|encrypted_content)":"rlm1\./);
      expect(told).toMatch(/"directory":\s*"\/[a-z]{4}\/[a-z]{11}\/[a-z]{13}"/);
      expect(told).toMatch(/\d+ matching line|1 line/);

      const again = await run('replay', out);
      expect(again.stdout).toContain('3 turns: 3 the same');
    },
  );
});

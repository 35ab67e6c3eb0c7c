import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askServer } from '../../asking.ts';
import { storeCase } from '../../storing.ts';
import { benchPolicy } from '../../policies.ts';
import { startProxy } from '../../../../../test/support/proxy.ts';
import { absentQuestions, realCase, type RealFolders } from './real-case.ts';

let folder: string;
let folders: RealFolders;

/** Entries of a changelog, newest first; each third one signed by the second person. */
function changelog(name: string, people: readonly string[], count: number): string {
  return Array.from({ length: count }, (_, at) => {
    const person = people[at % people.length] ?? '';
    const urgency = at % 4 === 0 ? 'high' : 'medium';
    return `${name} (1.${count - at}-1) unstable; urgency=${urgency}\n\n  * Change ${at}.\n\n -- ${person} <p@example.org>  Mon, 0${1 + (at % 9)} Jan ${2020 + (at % 3)} 10:00:00 +0000\n\n`;
  }).join('');
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-real-'));
  folders = { docs: join(folder, 'doc'), packages: join(folder, 'status') };
  for (const [name, people] of [
    ['alpha', ['Ada Lovelace', 'Grace (Hopper)']],
    ['beta', ['Grace (Hopper)', 'Alan Turing', 'Ada Lovelace']],
    ['gamma+x', ['Alan Turing']],
  ] as const) {
    await mkdir(join(folders.docs, name), { recursive: true });
    const text = changelog(name, people, 12);
    await writeFile(join(folders.docs, name, 'changelog.Debian.gz'), gzipSync(text));
  }
  // Not every entry there is a folder with a changelog.
  await writeFile(join(folders.docs, 'README'), 'nothing\n');
  const packages = ['alpha: beta, gamma+x (>= 2), libc', 'beta: gamma+x | delta', 'gamma+x: libc'];
  await writeFile(
    folders.packages,
    packages
      .map((line) => line.split(': '))
      .map(([name, depends]) => `Package: ${name}\nStatus: ok\nDepends: ${depends}\n\n`)
      .join(''),
  );
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test('the scripted policy answers every question about real texts exactly', async () => {
  await using proxy = await startProxy({ policies: [benchPolicy] });
  const { documents, questions } = realCase(folders, 3, 1_000_000);
  expect(questions.filter(({ id }) => id.startsWith('absent'))).toHaveLength(absentQuestions);
  const { sessionId } = await storeCase(proxy.app.sessions, '/bench/real', documents);
  const target = {
    baseUrl: proxy.baseURL,
    model: 'rlm-internal.rlm-core-v1',
    headers: { 'x-rlm-session': sessionId },
  };
  const failures: string[] = [];
  for (const one of questions.slice(0, questions.length - absentQuestions + 3)) {
    const { text } = await askServer(target, one.question, new AbortController().signal);
    if (one.score(text) !== 1) failures.push(`${one.id}: expected ${one.expected}, got ${text}`);
    expect([one.expected, one.score('I do not know.')]).toEqual([expect.stringMatching(/./), 0]);
  }
  expect(failures).toEqual([]);
});

test('the whole index is asked about where that is not most of what is stored', () => {
  const available = () => 'Package: whole\nDepends: a, b, c\n\nPackage: a\n\n';
  const indexAt = (sizeChars: number): string | undefined => {
    const { documents } = realCase({ ...folders, available }, 3, sizeChars);
    return [...(documents.at(-1)?.chunks() ?? [])].join('');
  };
  expect(indexAt(1_000_000)).toContain('Package: gamma+x');
  expect(indexAt(100_000_000)).toBe(available());
});

test('a machine without these files is told so', () => {
  const nowhere = { docs: join(folder, 'none'), packages: join(folder, 'none') };
  expect(() => realCase(nowhere, 1, 1_000_000)).toThrow(/needs a Debian machine/);
});

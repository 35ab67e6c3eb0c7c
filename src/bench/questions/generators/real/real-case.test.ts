import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askServer } from '../../asking.ts';
import { storeCase } from '../../storing.ts';
import { benchPolicy } from '../../policies.ts';
import { startProxy } from '../../../../../test/support/proxy.ts';
import { absentQuestions } from './absent-questions.ts';
import { realCase } from './real-case.ts';
import type { RealFolders } from './real-texts.ts';

let folder: string;
let folders: RealFolders;

/** Entries of a changelog, newest first, signed by these people in turn. */
function changelog(name: string, people: readonly string[], count: number): string {
  return Array.from({ length: count }, (_, at) => {
    const person = people[at % people.length] ?? '';
    const urgency = at % 4 === 0 ? 'high' : 'medium';
    return `${name} (1.${count - at}-1) unstable; urgency=${urgency}\n\n  * Change ${at} (Closes: #${name.length * 100_000 + at}).\n\n -- ${person} <p@example.org>  Mon, 0${1 + (at % 9)} Jan ${2020 + (at % 3)} 10:00:00 +0000\n\n`;
  }).join('');
}

/** A mail. What it quotes has lines like those of its own head. */
function mail(sender: string, at: number): string {
  const month = at % 3 === 0 ? 'Aug 2002' : 'Sep 2002';
  return `From exmh ${month}\nMessage-Id: <${at}.${sender}>\nFrom: Somebody <${sender}>\nSubject: ${at % 2 === 0 ? 'Re: RE: ' : ''}Thread ${at % 5}\nDate: Thu, 22 ${month} 18:26:25 +0700\n\nFrom: nobody <quoted@example.org>\nDate: Fri, 1 Jan 1999\nSubject: other\n\nThis is text ${at}, caf\u{e9}.\n  It is indented.\n`;
}

/** Files of a tree with many look-alike definitions; some are in several files. */
function python(at: number): string {
  const methods = Array.from({ length: 9 }, (_, number) => {
    const name = number === 0 ? 'shared_name' : `method_${at}_${number}`;
    return `    def ${name}(self):\n        return ${at}\n\n`;
  });
  const uses = at % 2 === 0 ? 'from os.path import join\n' : 'from json import loads\n';
  return `${uses}\nclass Some:\n${methods.join('')}`;
}

async function write(path: string, bytes: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), bytes);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-real-'));
  folders = {
    docs: join(folder, 'doc'),
    packages: join(folder, 'status'),
    mails: join(folder, 'data'),
    trees: [
      { root: join(folder, 'python'), name: 'usr/lib/python' },
      { root: join(folder, 'none'), name: 'usr/include' },
    ],
  };
  for (const [name, people] of [
    ['alpha', ['Ada Lovelace', 'Grace (Hopper)']],
    ['beta', ['Grace (Hopper)', 'Alan Turing', 'Ada Lovelace']],
    ['gamma+x', ['Alan Turing']],
  ] as const)
    await write(`doc/${name}/changelog.Debian.gz`, gzipSync(changelog(name, people, 24)));
  // Not every entry there is a folder with a changelog.
  await write('doc/README', 'nothing\n');
  const packages = ['alpha: beta, gamma+x (>= 2), libc', 'beta: gamma+x | delta', 'gamma+x: libc'];
  await write(
    'status',
    packages
      .map((line) => line.split(': '))
      .map(([name, depends]) => `Package: ${name}\nStatus: ok\nDepends: ${depends}\n\n`)
      .join(''),
  );
  for (let at = 0; at < 60; at += 1) {
    const sender = at % 2 === 0 ? 'ada@example.net' : `p${at % 7 < 4 ? 1 : at % 7}@Example.com`;
    const kind = at % 4 === 0 ? 'spam-1' : 'easy-ham-1';
    // Not all that people send is UTF-8.
    const encoding = at % 5 === 0 ? 'latin1' : 'utf8';
    const path = `data/${kind}/${String(at).padStart(5, '0')}.txt`;
    await write(path, Buffer.from(mail(sender, at), encoding));
  }
  for (let at = 0; at < 20; at += 1) {
    // Folders whose names contain each other, files of one folder that use different things.
    await write(`python/pack${at % 9}/part${at}.py`, python(at));
    await write(`python/pack${at % 9}/more/pack${at % 9}/part${at}.py`, python(100 + at));
  }
  // What looks like a changelog's heading and a mail's head is none of them here.
  await write(
    'python/zz.py',
    `TEXT = """\n${changelog('alpha', ['Somebody Else'], 40)}\nFrom: ada@example.net\n"""\n`,
  );
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test('the scripted policy answers every question about real texts exactly', async () => {
  await using proxy = await startProxy({ policies: [benchPolicy] });
  const { documents, questions, said } = realCase(folders, 3, 1_000_000);
  expect(questions.filter(({ id }) => id.startsWith('absent'))).toHaveLength(absentQuestions);
  expect(said).toContain(`Sources of usr/include are left out: there are none in ${folder}/none.`);
  const { sessionId } = await storeCase(proxy.app.sessions, '/bench/real', documents);
  const target = {
    baseUrl: proxy.baseURL,
    model: 'rlm-internal.rlm-core-v1',
    headers: { 'x-rlm-session': sessionId },
  };
  const failures: string[] = [];
  // The first of each kind, and of what is absent one of each.
  const some = questions.filter(({ id }) => /^(?:absent-[123]|\D+-1|\D+)$/.test(id));
  for (const one of some) {
    const { text } = await askServer(target, one.question, new AbortController().signal);
    if (one.score(text) !== 1) failures.push(`${one.id}: expected ${one.expected}, got ${text}`);
    expect([one.expected, one.score('I do not know.')]).toEqual([expect.stringMatching(/./), 0]);
  }
  expect(failures).toEqual([]);
  const kinds = new Set(some.map(({ id }) => id.replace(/(?:-\d+)+$/, '')));
  expect([...kinds].toSorted().join(' ')).toBe(
    'absent bug count define mail-domain mail-id mail-ordinal mail-pairs mail-pairs-joined ' +
      'mail-sender mail-spam month ordinal pairs pairs-joined pairs-months parents person ' +
      'python-definitions python-ordinal python-pairs reach version',
  );
});

test('the policy says "not found" only of a search that has seen everything', () => {
  const { questions } = realCase(folders, 3, 1_000_000);
  const answersTo = (id: string, results: readonly string[]): readonly (string | undefined)[] => {
    const question = questions.find((one) => one.id === id)?.question ?? '';
    return results.map(
      (content) =>
        benchPolicy({
          model: 'any',
          messages: [
            { role: 'user', content: question },
            { role: 'tool', content },
          ],
        })?.text,
    );
  };
  const whole = '0 matching lines: all 1000 characters were searched.';
  const part = 'No matching line was found, but not everything was searched.';
  const failed = '[error] Error: the search ran out of time: narrow it';
  for (const id of ['absent-2', 'absent-3'])
    expect(answersTo(id, [whole, part, failed])).toEqual([
      expect.stringContaining('ANSWER: not found'),
      expect.not.stringContaining('not found'),
      expect.not.stringContaining('not found'),
    ]);
  // The program says it itself; what went wrong is no answer.
  expect(answersTo('absent-1', ['=> not found', failed])).toEqual([
    expect.stringContaining('ANSWER: not found'),
    expect.not.stringContaining('not found'),
  ]);
});

test('the answers are those of the files', () => {
  const { questions } = realCase(folders, 3, 1_000_000);
  const expected = (id: string): string | undefined =>
    questions.find((one) => one.id === id)?.expected;
  expect(expected('person')).toBe('Alan Turing');
  expect(expected('mail-sender')).toBe('ada@example.net');
  const verbatim = questions.find(({ id }) => id === 'mail-ordinal-1');
  expect(verbatim?.expected).toMatch(
    /^<<\w+>>\nFrom: nobody <quoted@example.org>\n[\s\S]*This is text \d+, café\.\n {2}It is indented\.\n$/,
  );
  // Another text than the one that was asked for is wrong, however alike.
  const other = verbatim?.expected.replace(/text \d+/, 'text 999') ?? '';
  expect([verbatim?.score(verbatim.expected), verbatim?.score(other)]).toEqual([1, 0]);
});

test('what is not on a machine is left out with the reason, and nothing is asked about it', () => {
  const { documents, questions, said } = realCase(
    { ...folders, mails: undefined, docs: join(folder, 'none'), packages: join(folder, 'none') },
    1,
    1_000_000,
  );
  expect(said?.join('\n')).toMatch(
    /Changelogs are left out.*\nThe package index is left out.*\nMails are left out: @stdlib\/datasets-spam-assassin is not installed. It is a development dependency/,
  );
  expect(documents.every(({ path }) => path.startsWith('usr/lib/python/'))).toBe(true);
  expect(questions.filter(({ id }) => id.startsWith('absent'))).toHaveLength(absentQuestions);
  expect(questions.some(({ id, question }) => /mail|changelog|index/.test(id + question))).toBe(
    false,
  );
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

test('a machine without any of these texts is told so', () => {
  const none = join(folder, 'none');
  const nowhere = { docs: none, packages: none, mails: undefined, trees: [] };
  expect(() => realCase(nowhere, 1, 1_000_000)).toThrow(/finds no texts on this machine.*mails?/is);
});

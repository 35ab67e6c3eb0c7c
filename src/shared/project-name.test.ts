import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { ProjectNames } from './project-name.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-names-'));
  await mkdir(join(folder, 'shop/.git/objects'), { recursive: true });
  await mkdir(join(folder, 'shop/api/src'), { recursive: true });
  await mkdir(join(folder, 'shop/.git/refs'), { recursive: true });
  await mkdir(join(folder, 'plain'));
  await writeFile(join(folder, 'shop/.git/HEAD'), 'ref: refs/heads/main\n');
  await writeFile(
    join(folder, 'shop/.git/config'),
    '[remote "origin"]\n\turl = git@github.com:team/shop.git\n',
  );
});
afterAll(async () => rm(folder, { recursive: true }));

const names = (project?: string): ProjectNames =>
  new ProjectNames({ clock: systemClock, machine: 'laptop', role: 'anna', project });

test('a checkout is called after where it comes from, on every machine alike', async () => {
  expect(await names().ofDirectory(join(folder, 'shop'), undefined)).toBe(
    'git:github.com/team/shop',
  );
  expect(await names().ofDirectory(join(folder, 'shop/api/src'), undefined)).toBe(
    'git:github.com/team/shop#api/src',
  );
});

test('what comes from nowhere belongs to the machine, and to nobody else of the team', async () => {
  const directory = join(folder, 'plain');
  expect(await names().ofDirectory(directory, undefined)).toBe(`_anna:path:laptop:${directory}`);
  expect(names().ofKey('chat:1')).toBe('_anna:key:chat:1');
});

test('what the request says goes before the setting, and that before the checkout', async () => {
  expect(await names('all').ofDirectory(join(folder, 'shop'), 'said')).toBe('said');
  expect(await names('all').ofDirectory(join(folder, 'shop'), undefined)).toBe('all');
  expect(names('all').ofKey('chat:1')).toBe('all');
});

test('what a role keeps for itself can be said by no request and no setting', async () => {
  const said = '_anna:chats';
  await expect(names().ofDirectory(join(folder, 'shop'), said)).rejects.toThrow('begin with `_`');
  expect(() => names().ofProject(said)).toThrow('begin with `_`');
  expect(() => names(said)).toThrow('store.project');
});

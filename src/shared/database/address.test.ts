import { expect, test } from 'vitest';
import { readAddress } from './address.ts';

test('on this machine an address is taken as it is, everywhere else it is encrypted and the server proved', () => {
  expect(readAddress('postgres://u:p@127.0.0.1:5432/db').urls).toEqual([
    'postgres://u:p@127.0.0.1:5432/db',
  ]);
  expect(readAddress('postgresql://u@localhost/db').urls).toEqual(['postgresql://u@localhost/db']);
  expect(readAddress('postgres://u:p@[::1]:5432/db').urls).toEqual([
    'postgres://u:p@[::1]:5432/db',
  ]);
  expect(readAddress('postgres://u:p@db.example/team?sslrootcert=/ca.pem').urls).toEqual([
    'postgres://u:p@db.example/team?sslrootcert=%2Fca.pem&sslmode=verify-full',
  ]);
  expect(readAddress('postgres://db.example/team?sslmode=require').urls).toEqual([
    'postgres://db.example/team?sslmode=verify-full',
  ]);
});

test.each(['disable', 'allow', 'prefer', 'no-verify'])(
  'sslmode=%s is refused where bytes leave the machine',
  (mode) => {
    expect(() => readAddress(`postgres://u:p@db.example/team?sslmode=${mode}`)).toThrow(
      `sslmode=${mode} would send stored texts to db.example readable`,
    );
    expect(readAddress(`postgres://u:p@127.0.0.1/team?sslmode=${mode}`).urls).toHaveLength(1);
  },
);

test('several hosts are tried in their order, and no password is shown', () => {
  const address = readAddress('postgres://u:secret@127.0.0.1:1,127.0.0.1:2/db');
  expect(address.urls).toEqual([
    'postgres://u:secret@127.0.0.1:1/db',
    'postgres://u:secret@127.0.0.1:2/db',
  ]);
  expect(address.shown).toBe('postgres://u@127.0.0.1:1,127.0.0.1:2/db');
});

test.each(['', 'mysql://u@h/db', 'db.example', 'postgres:///db'])('%j is no address', (url) => {
  expect(() => readAddress(url)).toThrow('postgres://user:password@host:5432/database');
});

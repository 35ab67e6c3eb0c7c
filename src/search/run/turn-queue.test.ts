import { expect, test } from 'vitest';
import { QueuePlace, TurnQueue } from './turn-queue.ts';

test('an owner with many waiting gets no more turns than one with few', () => {
  const queue = new TurnQueue(2);
  const turns: string[] = [];
  const busy: (() => void)[] = [];
  const ask = (name: string, owner: object): void => {
    const place = new QueuePlace(queue, owner);
    place.wait(() => {
      turns.push(name);
      busy.push(() => place.leave());
    });
  };
  const [greedy, modest, late] = [{}, {}, {}];
  for (let i = 0; i < 10; i++) ask('greedy', greedy);
  for (let i = 0; i < 3; i++) ask('modest', modest);
  ask('late', late);
  while (busy.length > 0) busy.shift()!();
  expect(turns.indexOf('late')).toBeLessThan(5);
  expect(turns.slice(0, 9).filter((name) => name === 'modest')).toHaveLength(3);
  expect(turns).toHaveLength(14);
});

test('one that leaves while it waits gets no turn, and one that changes gives its place back', () => {
  const [small, large] = [new TurnQueue(1), new TurnQueue(1)];
  const turns: string[] = [];
  const places = ['a', 'b', 'c'].map((name) => {
    const place = new QueuePlace(small, {});
    place.wait(() => turns.push(name));
    return place;
  });
  places[1]!.leave();
  places[0]!.change(large, () => turns.push('a large'));
  expect(turns).toEqual(['a', 'c', 'a large']);
  places[2]!.change(large, () => turns.push('c large'));
  expect(turns).toEqual(['a', 'c', 'a large']);
  places[0]!.leave();
  places[0]!.leave();
  expect(turns).toEqual(['a', 'c', 'a large', 'c large']);
});

test('a group takes one place, all of it at once, and gives it back when the last has left', () => {
  const queue = new TurnQueue(1);
  const order: string[] = [];
  const [group, owner] = [{}, {}];
  const enter = (name: string, of?: object): QueuePlace => {
    const place = new QueuePlace(queue, of ?? {}, of === owner ? group : undefined);
    place.wait(() => order.push(name));
    return place;
  };
  const first = enter('first');
  const members = ['a', 'b', 'c'].map((name) => enter(name, owner));
  enter('last');
  expect(order).toEqual(['first']);
  first.leave();
  expect(order).toEqual(['first', 'a', 'b', 'c']);
  members.push(enter('d', owner));
  expect(order.at(-1)).toBe('d');
  for (const place of members.slice(1)) place.leave();
  expect(order).toHaveLength(5);
  members[0]!.leave();
  expect(order.at(-1)).toBe('last');
});

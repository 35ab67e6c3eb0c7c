import { expect, test } from 'vitest';
import { idleServer, sessionView, turnView } from '../../../../test/support/page-views.ts';
import type { TurnView } from '../../page-protocol.ts';
import { afterEvent, type LiveState, maxTurns, nothingYet } from './live-state.ts';

const server = idleServer;
const session = sessionView('s1');

function turn(id: number, state: TurnView['state'] = 'done'): TurnView {
  return turnView(`t${id}`, { startedAtMs: id, state });
}

const greeted: LiveState = afterEvent(nothingYet, {
  type: 'hello',
  server,
  sessions: [session],
  turns: [turn(1), turn(2, 'running')],
});

test('a greeting says all there is, and a second one takes the place of the first', () => {
  expect(greeted).toMatchObject({ connection: 'live', server, sessions: [session] });
  const again = afterEvent(greeted, { type: 'hello', server, sessions: [], turns: [turn(9)] });
  expect(again.turns.map(({ id }) => id)).toEqual(['t9']);
  expect(again.sessions).toEqual([]);
});

test('a turn that changes stays at its place, and a new one comes last', () => {
  const changed = afterEvent(greeted, { type: 'turn', turn: { ...turn(1), error: 'late' } });
  expect(changed.turns.map(({ id, error }) => [id, error])).toEqual([
    ['t1', 'late'],
    ['t2', undefined],
  ]);
  const more = afterEvent(changed, { type: 'turn', turn: turn(3, 'running') });
  expect(more.turns.map(({ id }) => id)).toEqual(['t1', 't2', 't3']);
  expect(greeted.turns).toHaveLength(2);
});

test('of many turns the oldest go, but none that runs', () => {
  let state = greeted;
  for (let id = 3; id <= maxTurns + 10; id += 1)
    state = afterEvent(state, { type: 'turn', turn: turn(id) });
  expect(state.turns).toHaveLength(maxTurns);
  expect(state.turns[0]).toMatchObject({ id: 't2', state: 'running' });
  expect(state.turns.at(-1)?.id).toBe(`t${maxTurns + 10}`);
});

test('a lost connection leaves what was seen; a lock leaves nothing of it', () => {
  const lost = afterEvent(greeted, { type: 'connection', connection: 'lost' });
  expect(lost).toEqual({ ...greeted, connection: 'lost' });
  const locked = afterEvent(lost, { type: 'connection', connection: 'locked', refusal: 'used' });
  expect(locked).toEqual({ connection: 'locked', sessions: [], turns: [], refusal: 'used' });
});

test('what a newer server says besides changes nothing', () => {
  const newer = { type: 'weather' } as unknown as Parameters<typeof afterEvent>[1];
  expect(afterEvent(greeted, newer)).toBe(greeted);
});

import { countOf } from './figures-text.ts';
import type { StepView, TurnView } from '../../page-protocol.ts';

/** A stretch of a turn, as it is drawn. */
export interface TurnStretch {
  /** `waiting`: for the upstream's first word. `answering`: it speaks. `tool`: we work. */
  readonly kind: 'waiting' | 'answering' | 'tool';
  readonly startMs: number;
  readonly endMs: number;
  /** Of the step, from 0. */
  readonly step: number;
}

/** What was done when, in order; what has not ended ends now. */
export function stretches(turn: TurnView, elapsedMs: number): readonly TurnStretch[] {
  return turn.steps.flatMap((step, index) => stretchesOf(step, index, elapsedMs));
}

function stretchesOf(step: StepView, index: number, nowMs: number): readonly TurnStretch[] {
  const endMs = step.endedMs ?? step.calls[0]?.startedMs ?? nowMs;
  const spokeMs = Math.min(step.firstChunkMs ?? endMs, endMs);
  return [
    { kind: 'waiting', startMs: step.startedMs, endMs: spokeMs, step: index } as const,
    { kind: 'answering', startMs: spokeMs, endMs, step: index } as const,
    ...step.calls.map((call): TurnStretch => ({
      kind: 'tool',
      startMs: call.startedMs,
      endMs: call.endedMs ?? nowMs,
      step: index,
    })),
  ].filter(({ startMs, endMs: end }) => end > startMs);
}

/** What a turn does now, in a few words. */
export function presentWords(turn: TurnView): string {
  if (turn.state === 'done') {
    const { calls } = hiddenCounts(turn);
    return calls === 0 ? 'answered' : `answered after ${countOf(calls, 'hidden call')}`;
  }
  if (turn.state !== 'running') return turn.state;
  const step = turn.steps.at(-1);
  if (step === undefined) return 'preparing the prompt';
  const open = step.calls.filter(({ endedMs }) => endedMs === undefined);
  const last = open.at(-1);
  if (last !== undefined) return last.words;
  if (step.endedMs === undefined && step.calls.length === 0)
    return step.firstChunkMs === undefined ? 'waiting for the model' : 'the model answers';
  return 'between two steps';
}

/**
 * Who has seen a step, or what became of it: of a turn that has failed or was broken off, the last
 * one that called nothing of ours was answered by nobody, or not to its end.
 */
export function stepWords({ steps, state }: TurnView, index: number): string {
  const isHidden = (steps[index]?.calls.length ?? 0) > 0;
  if (isHidden) return 'hidden from the client';
  if (index < steps.length - 1 || state === 'done') return 'shown to the client';
  return lastStepWords[state];
}

const lastStepWords = { running: 'under way', failed: 'failed', aborted: 'broken off' } as const;

/** What all calls of a turn come to: `3 hidden steps, 5 tool calls, 12 sub-calls`. */
export function hiddenCounts(turn: TurnView): {
  readonly steps: number;
  readonly calls: number;
  readonly subCalls: number;
} {
  const calls = turn.steps.flatMap((step) => step.calls);
  return {
    steps: turn.steps.filter((step) => step.calls.length > 0).length,
    calls: calls.length,
    subCalls: calls.reduce((sum, call) => sum + call.subCalls, 0),
  };
}

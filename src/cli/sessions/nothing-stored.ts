import { exitCodes, finish } from '../run.ts';
import { sayNothingStored, type SessionFlags } from '../session-flags.ts';

/** Ends a command for a directory that has no store. */
export function nothingStored(flags: SessionFlags): void {
  sayNothingStored(flags);
  finish(exitCodes.nothing);
}

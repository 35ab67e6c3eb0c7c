import { setTimeout } from 'node:timers/promises';

/** Variable with the minutes that a play waits at most. */
const variable = 'RLM_E2E_PATIENCE_MINUTES';

const defaultMinutes = 15;

/**
 * How long a play waits for what has to come, milliseconds. Far more than anything takes, also on a
 * machine that is busy with other things (OpenCode was seen to take 100 s to start): only what hangs
 * meets it, so that no check is decided by time.
 */
export const patienceMs = minutesFrom(process.env[variable]) * 60_000;

function minutesFrom(text: string | undefined): number {
  if (text === undefined || text === '') return defaultMinutes;
  const minutes = Number(text);
  if (Number.isFinite(minutes) && minutes > 0) return minutes;
  throw new Error(`${variable} wants a number of minutes above 0, not ${JSON.stringify(text)}.`);
}

/** What an event gives. @throws Error that names what did not come */
export async function comes<Value>(what: string, event: Promise<Value>): Promise<Value> {
  const isOver = new AbortController();
  const late = async (): Promise<never> => {
    await setTimeout(patienceMs, undefined, { signal: isOver.signal, ref: false });
    throw new Error(`Not within ${patienceMs} ms: ${what}`);
  };
  try {
    return await Promise.race([event, late()]);
  } finally {
    isOver.abort();
  }
}

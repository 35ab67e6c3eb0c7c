import { type ErrorCode, errorTable, ProxyError } from '../errors.ts';

/**
 * Reads the answer of an operation on the stores: JSON lines, any number of `progress`, one
 * `result`. What it says on the way is handed to `onProgress`, which it waits for.
 * @param pieces Of the answer, as they come: cut anywhere
 * @throws ProxyError what the operation has thrown
 */
export async function readOperation(
  pieces: AsyncIterable<string>,
  onProgress?: (progress: unknown) => void | Promise<void>,
): Promise<unknown> {
  let rest = '';
  let result: unknown;
  for await (const piece of pieces) {
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter((text) => text !== '')) {
      const said = JSON.parse(line) as { progress?: unknown; result?: unknown; error?: unknown };
      if (said.error !== undefined) throw errorOf(said.error);
      if (said.progress !== undefined) await onProgress?.(said.progress);
      if (said.result !== undefined) ({ result } = said);
    }
  }
  return result;
}

/** An error of an operation, as it was sent, as ours again. */
export function errorOf(wire: unknown): ProxyError {
  const { code, message } = (wire ?? {}) as { code?: string; message?: string };
  const known =
    code !== undefined && Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'internal';
  return new ProxyError(known, message ?? 'The server gave an answer that is none.');
}

import type { StoredOutput } from '../types.ts';

/**
 * Which texts came as the outputs of which calls. A call id alone says little: providers number
 * their calls anew in every turn.
 */
export class Outputs {
  /** Nearly every id comes once in a chat, so nearly no list is made. */
  readonly #byId = new Map<string, StoredOutput | StoredOutput[]>();

  add(chatId: string, toolCallId: string, output: StoredOutput): void {
    const key = keyOf(chatId, toolCallId);
    const known = this.#byId.get(key);
    if (known === undefined) this.#byId.set(key, output);
    else if (!Array.isArray(known)) {
      if (!isSameOutput(known, output)) this.#byId.set(key, [known, output]);
    } else if (!known.some((each) => isSameOutput(each, output))) known.push(output);
  }

  /** Those of one call id in one chat, oldest first. */
  of(chatId: string, toolCallId: string): readonly StoredOutput[] {
    const known = this.#byId.get(keyOf(chatId, toolCallId));
    if (known === undefined) return [];
    return Array.isArray(known) ? known : [known];
  }
}

/**
 * Pure. Whether the same text came for the same call; a record that does not say for which does not
 * make it another one.
 */
export function isSameOutput(known: StoredOutput, output: StoredOutput): boolean {
  if (known.entry !== output.entry) return false;
  return known.call === output.call || known.call === undefined || output.call === undefined;
}

function keyOf(chatId: string, toolCallId: string): string {
  return `${chatId}\0${toolCallId}`;
}

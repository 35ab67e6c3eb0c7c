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
      const isSame = isSameOutput(known, output);
      this.#byId.set(key, isSame ? shownAs(known, output) : [known, output]);
    } else {
      const at = known.findIndex((each) => isSameOutput(each, output));
      if (at < 0) known.push(output);
      else known[at] = shownAs(known[at]!, output);
    }
  }

  /** Those of one call id in one chat, oldest first. */
  of(chatId: string, toolCallId: string): readonly StoredOutput[] {
    const known = this.#byId.get(keyOf(chatId, toolCallId));
    if (known === undefined) return [];
    return Array.isArray(known) ? known : [known];
  }
}

/** An output that was noted before it was known under which name a prompt had shown it. */
function shownAs(known: StoredOutput, { standIn }: StoredOutput): StoredOutput {
  return known.standIn !== undefined || standIn === undefined ? known : { ...known, standIn };
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

/**
 * Ids of an answer and its items, `resp_N` and `msg_N_0`: items of one answer are known by their N
 * when a client sends them back.
 */
export function responseId(requestId: string): string {
  return `resp_${stem(requestId)}`;
}

/** What stands in front of an item's id. */
export type ItemKind = 'msg' | 'rs' | 'fc' | 'ctc';

/** @param index The item's `output_index` */
export function itemId(kind: ItemKind, requestId: string, index: number): string {
  return `${kind}_${stem(requestId)}_${index}`;
}

/** Whether a reasoning item's id is one of ours. */
export function isOwnReasoning(id: unknown): boolean {
  return typeof id === 'string' && id.startsWith('rs_') && answerOf(id) !== undefined;
}

/** What names the answer of ours that an item is of; undefined for others' items. */
export function answerOf(id: string | undefined): string | undefined {
  return /^[a-z]+_([0-9a-z]+)_\d+$/.exec(id ?? '')?.[1];
}

function stem(requestId: string): string {
  return requestId.slice(requestId.indexOf('_') + 1);
}

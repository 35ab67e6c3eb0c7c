import type { ChatMemory } from '../../src/store/types.ts';

/** A chat's memory without a file: what is put and what is read are copies, as there. */
export class MapMemory implements ChatMemory {
  readonly values = new Map<string, unknown>();
  /** How often something was put. */
  writes = 0;

  async get(key: string): Promise<unknown> {
    return structuredClone(this.values.get(key));
  }

  atHand(key: string): unknown {
    return structuredClone(this.values.get(key));
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  async put(records: readonly { readonly key: string; readonly value: unknown }[]): Promise<void> {
    this.writes += 1;
    for (const { key, value } of records) this.values.set(key, structuredClone(value));
  }
}

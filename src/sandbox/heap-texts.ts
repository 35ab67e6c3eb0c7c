import type {
  QuickJSContext,
  QuickJSEmscriptenModule,
  QuickJSHandle,
} from 'quickjs-emscripten-core';

/** The part of QuickJS's module that writes a text into its memory. */
type TextWriter = Pick<QuickJSEmscriptenModule, 'lengthBytesUTF8' | 'stringToUTF8'>;

/** Stands for the bytes that are to be written in its place. */
const placeholder = '\uffff bytes \uffff';

/**
 * Writes texts into QuickJS's memory by whole blocks. The module's own functions go over a text
 * unit by unit, twice; and bytes that are UTF-8 already need not become a string first.
 */
export class HeapTexts {
  readonly #memory: WebAssembly.Memory;
  #pending: Uint8Array | undefined;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  /** Takes over the module's text functions. */
  takeOver(module: TextWriter): void {
    const lengthBytes = module.lengthBytesUTF8.bind(module);
    const writeText = module.stringToUTF8.bind(module);
    module.lengthBytesUTF8 = (text) => {
      if (text === placeholder && this.#pending !== undefined) return this.#pending.length;
      // Half of a pair has a form in the module's UTF-8 that is none elsewhere.
      return text.isWellFormed() ? Buffer.byteLength(text) : lengthBytes(text);
    };
    module.stringToUTF8 = (text, address, maxBytes = 0) => {
      if (text !== placeholder && !text.isWellFormed()) {
        writeText(text, address, maxBytes);
        return;
      }
      const into = Buffer.from(this.#memory.buffer, address, maxBytes);
      const pending = text === placeholder ? this.#pending : undefined;
      if (pending !== undefined) into.set(pending);
      const size = pending?.length ?? into.write(text);
      into[size] = 0;
    };
  }

  /** A string in the machine from UTF-8 bytes without a zero. */
  newString(vm: QuickJSContext, bytes: Uint8Array): QuickJSHandle {
    this.#pending = bytes;
    try {
      return vm.newString(placeholder);
    } finally {
      this.#pending = undefined;
    }
  }
}

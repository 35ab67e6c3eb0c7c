import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import releaseSync from '@jitl/quickjs-wasmfile-release-sync';
import { HeapTexts } from './heap-texts.ts';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';

/**
 * The package's types describe its CommonJS build, in which the variant lies one `default` deeper.
 */
const variant = releaseSync as unknown as QuickJSSyncVariant;

/** A page of WebAssembly memory, bytes (fixed by its specification). */
const pageBytes = 65_536;

/**
 * What the module asks for at least (its own data and stack lie there too), and may have at most,
 * pages: its memory import says so.
 */
const pages = { min: 256, max: 32_768 };

/**
 * Compiles QuickJS, off this thread: once for all threads, since a compiled module can be handed to
 * any of them.
 * @throws Error if the package's file cannot be read
 */
export async function compileQuickJs(): Promise<WebAssembly.Module> {
  const path = fileURLToPath(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm'));
  return WebAssembly.compile(await readFile(path));
}

/** A loader as packages of different kinds export it. */
type LoaderImport = Awaited<ReturnType<QuickJSSyncVariant['importModuleLoader']>>;

/** The loader in what was imported: a CommonJS build has it one or two `default` deep. */
function loaderIn(imported: LoaderImport): Extract<LoaderImport, (...args: never[]) => unknown> {
  return typeof imported === 'function' ? imported : loaderIn(imported.default);
}

/** A QuickJS, and whether its memory has sufficed. */
export interface BoundedQuickJs {
  readonly quickJs: QuickJSWASMModule;
  readonly texts: HeapTexts;
  /** How often it wanted more memory than it may have. */
  refusals(): number;
}

/**
 * A QuickJS with a memory of its own that cannot grow past `memoryBytes` and what the engine itself
 * needs (16 MiB). The engine's own limit is not enough: its WebAssembly build counts 8 bytes for an
 * allocation of any size, because the allocator tells it no sizes.
 */
export async function instantiateQuickJs(
  module: WebAssembly.Module,
  memoryBytes: number,
): Promise<BoundedQuickJs> {
  const wasmMemory = new WebAssembly.Memory({
    initial: pages.min,
    maximum: Math.min(pages.max, pages.min + Math.ceil(memoryBytes / pageBytes)),
  });
  let refusals = 0;
  wasmMemory.grow = (delta) => {
    try {
      return WebAssembly.Memory.prototype.grow.call(wasmMemory, delta);
    } catch (error) {
      refusals += 1;
      throw error;
    }
  };
  const texts = new HeapTexts(wasmMemory);
  const bounded = newVariant(variant, { wasmModule: module, wasmMemory });
  const quickJs = await newQuickJSWASMModuleFromVariant({
    ...bounded,
    importModuleLoader: async () => {
      const load = loaderIn(await bounded.importModuleLoader());
      return async (options) => {
        const loaded = await load(options);
        texts.takeOver(loaded);
        return loaded;
      };
    },
  });
  return { quickJs, texts, refusals: () => refusals };
}

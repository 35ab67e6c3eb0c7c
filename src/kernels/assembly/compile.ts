// Compiles the kernels and prints the module that embeds them: `node
// src/kernels/assembly/compile.ts > src/kernels/kernels-wasm.ts`.
import asc from 'assemblyscript/asc';
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The text of `kernels-wasm.ts` for the sources as they are now. */
export async function compileKernels(): Promise<string> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    // prettier-ignore
    ['index.ts', '--outFile', 'kernels.wasm', '-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--enable', 'relaxed-simd', '--importMemory'],
    {
      readFile: (name: string) => {
        try {
          return readFileSync(new URL(name, import.meta.url), 'utf8');
        } catch {
          return null;
        }
      },
      writeFile: (name: string, contents: Uint8Array | string) => {
        if (name === 'kernels.wasm') binary = contents as Uint8Array;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || binary === undefined) throw new Error(`${error?.message}\n${stderr}`);
  const base64 = Buffer.from(binary).toString('base64');
  return `// Made by assembly/compile.ts from the sources beside it. Do not edit.\n\n/** The kernels' WebAssembly module, base64. */\nexport const kernelsWasm =\n  '${base64}';\n`;
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  process.stdout.write(await compileKernels());
}

import { join } from 'node:path';
import { findProgram, tryProgram, type Found } from './npm-program.ts';

/** The version that these tests are written for. */
const opencodeVersion = '1.18.33';

/** OpenCode as npm has it. */
export const opencodePackage = {
  id: 'opencode',
  packageName: 'opencode-ai',
  version: opencodeVersion,
  file: join('bin', 'opencode.exe'),
  postinstall: 'postinstall.mjs',
} as const;

/**
 * Finds OpenCode: `OPENCODE_BIN`, else the one installed before, else one installed now into a
 * folder of its own in the user's cache. It has 350 MB, too much for everybody's `npm ci`.
 */
export async function findOpencode(env: NodeJS.ProcessEnv): Promise<Found> {
  const given = env['OPENCODE_BIN'];
  if (given === undefined || given === '') return findProgram(opencodePackage, env);
  return tryProgram(given, { origin: 'OPENCODE_BIN', version: '1.18.', env });
}

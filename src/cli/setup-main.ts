import { runProgram } from './run.ts';
import { setupProgram } from './setup.ts';
import { readVersion } from './version.ts';

await runProgram(setupProgram(readVersion()), process.argv.slice(2));

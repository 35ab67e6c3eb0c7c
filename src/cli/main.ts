import { rlmProgram } from './program.ts';
import { runProgram } from './run.ts';
import { readVersion } from './version.ts';

await runProgram(rlmProgram(readVersion()), process.argv.slice(2));

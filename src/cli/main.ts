import { rlmProgram } from './program.ts';
import { runProgram } from './run.ts';
import { readVersion } from './version.ts';

const args = process.argv.slice(2);
await runProgram(await rlmProgram(readVersion(), args), args);

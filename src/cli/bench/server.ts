import { Command } from 'commander';
import { benchPolicy } from '../../bench/questions/policies.ts';
import { runProgram } from '../run.ts';
import { serveCommand } from '../serve.ts';

/**
 * The server of a benchmark, a program of its own: `serve`, whose demo upstream answers the
 * benchmark's questions, too.
 */
const program = new Command('rlm-opencode-bench').addCommand(serveCommand([benchPolicy]));
await runProgram(program, process.argv.slice(2));

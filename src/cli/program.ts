import { Command } from 'commander';
import { askCommand } from './ask.ts';
import { benchCommand } from './bench.ts';
import { configCommand } from './config.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { getCommand } from './get.ts';
import { ingestCommand } from './ingest.ts';
import { logsCommand } from './logs.ts';
import { findCommand, searchCommand } from './search.ts';
import { serveCommand } from './serve.ts';
import { sessionsCommand } from './sessions.ts';
import { statsCommand } from './stats.ts';
import { statusCommand } from './status.ts';
import { stopCommand } from './stop.ts';

/** `rlm-opencode` with all its commands. Add one: a file, a line here. */
export function rlmProgram(version: string): Command {
  const program = new Command('rlm-opencode')
    .description('a local proxy that gives coding assistants a memory without a wall')
    .version(version);
  const commands = [
    serveCommand(),
    demoCommand(),
    statusCommand(),
    stopCommand(),
    logsCommand(),
    ingestCommand(),
    searchCommand(),
    findCommand(),
    getCommand(),
    statsCommand(),
    sessionsCommand(),
    configCommand(),
    doctorCommand(),
    askCommand(),
    benchCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  return program;
}

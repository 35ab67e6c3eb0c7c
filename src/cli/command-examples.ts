import type { Command } from 'commander';
import { examples } from './examples.ts';
import { everyCommand } from './nested-options.ts';

type Example = readonly [command: string, does: string];

/** Examples by the command's name as it is typed; those of other commands stand beside them. */
const known: Readonly<Record<string, readonly Example[]>> = {
  demo: [
    ['rlm-opencode demo', '100 million characters, some seconds'],
    ['rlm-opencode demo --chars 1G', 'ten times as much'],
  ],
  open: [
    ['rlm-opencode open', 'opens the browser, and prints the link'],
    ['rlm-opencode open --print', 'for a browser elsewhere, such as over an SSH tunnel'],
  ],
  stop: [['rlm-opencode stop', 'live answers may finish first']],
  logs: [
    ['rlm-opencode logs', 'the last 50 lines'],
    ['rlm-opencode logs -n 500', 'the last 500'],
    ['rlm-opencode logs -f', 'goes on with what is added'],
  ],
  trace: [
    ['rlm-opencode trace list', 'turns that were written down'],
    ['rlm-opencode trace scrub traces report', 'the same turns with other words'],
  ],
  'trace list': [['rlm-opencode trace list', 'what RLM_TRACE_DIR holds, or `trace.dir`']],
  'trace scrub': [['rlm-opencode trace scrub traces report', 'into a new folder']],
  replay: [
    ['rlm-opencode replay traces', 'all turns in what RLM_TRACE_DIR named, oldest first'],
    ['rlm-opencode replay traces/2026-05-28T10-00-00.000Z-req_1f', 'one turn'],
  ],
  ingest: [
    ["rlm-opencode ingest src docs 'logs/*.log'", 'files, folders, globs'],
    ['journalctl -b | rlm-opencode ingest -', 'what a command puts out'],
    ['rlm-opencode ingest --from opencode --dry-run', "this project's chats"],
    ['rlm-opencode ingest --from codex --all-projects', 'each into its own store'],
  ],
  search: [
    ["rlm-opencode search 'timeout|refused'", 'newest entry first'],
    ['rlm-opencode search -C 2 --tool bash ERROR', 'outputs of bash, lines around'],
    ["rlm-opencode search -l --path 'src/**' TODO", 'only the files'],
    ['rlm-opencode search -c --since 2h deadlock', 'how many lines'],
    ['rlm-opencode search --as-of 3d TODO', 'as it was three days ago'],
    ["rlm-opencode search --scope linked 'retry'", 'in linked stores, too'],
    ["rlm-opencode search --all 'retry'", 'in every project'],
  ],
  find: [
    ["rlm-opencode find 'a[0].b()'", 'nothing in it is special'],
    ['rlm-opencode find -i --last deadlock', 'the last lines first'],
  ],
  get: [
    ['rlm-opencode get e12', 'a whole entry'],
    ['rlm-opencode get e12:340', 'a line, and those around it'],
    ['rlm-opencode get src/a.ts:20-40', 'lines 20 to 40 of a file'],
    ['rlm-opencode get e40 --against e12', 'what differs'],
    ['rlm-opencode get api:e12', 'of the store linked as api'],
  ],
  stats: [
    ['rlm-opencode stats', 'the store of this project'],
    ['rlm-opencode stats --since 2h', 'what has come since'],
    ['rlm-opencode stats --as-of before-merge', 'at that snapshot'],
  ],
  sessions: [
    ['rlm-opencode sessions', 'every store, and whose it is'],
    ['rlm-opencode sessions log', 'branches and snapshots of this project'],
    ['rlm-opencode sessions rm sess_1a2b', 'says what would be deleted'],
  ],
  'sessions log': [
    ['rlm-opencode sessions log', 'of this project'],
    ['rlm-opencode sessions log --all --json', 'of all, for machines'],
  ],
  'sessions snapshot': [
    ['rlm-opencode sessions snapshot', 'named by the time'],
    ['rlm-opencode sessions snapshot before-merge', 'named by you'],
  ],
  'sessions branch': [
    ['rlm-opencode sessions branch', 'goes on from now'],
    ['rlm-opencode sessions branch --at e42 --name try-2', 'from right behind e42'],
  ],
  'sessions restore': [
    ['rlm-opencode sessions restore before-merge', 'as it was at that snapshot'],
    ['rlm-opencode sessions restore 2h', 'as it was two hours ago'],
    ['rlm-opencode sessions restore sess_1a2b', 'what it had before'],
  ],
  'sessions show': [
    ['rlm-opencode sessions show', 'that of this directory'],
    ['rlm-opencode sessions show --json', '{id, links, linkedFrom, …}'],
  ],
  'sessions link': [
    ['rlm-opencode sessions link . ../api', 'this project reads ../api'],
    ['rlm-opencode sessions link . ../old --as v1', 'its entries are v1:e1, …'],
    ['rlm-opencode search --scope linked retry', 'searches both'],
  ],
  'sessions unlink': [
    ['rlm-opencode sessions unlink . api', 'by its name'],
    ['rlm-opencode sessions unlink . ../api', 'or by where it leads'],
  ],
  'sessions rm': [
    ['rlm-opencode sessions rm sess_1a2b', 'says what would be deleted'],
    ['rlm-opencode sessions rm sess_1a2b --yes', 'deletes it'],
    ['rlm-opencode sessions rm sess_1a2b --detach --yes', 'its branches stay'],
  ],
  'sessions forget': [
    ['rlm-opencode sessions forget e7', 'what would go with e7'],
    ['rlm-opencode sessions forget e7 --yes', 'it goes'],
    ['rlm-opencode sessions forget -F -e hunter2', 'parts of texts'],
    ['rlm-opencode sessions forget --older-than 90d', 'by age'],
    ['rlm-opencode sessions forget --secrets', 'keys and tokens'],
  ],
  'sessions move': [
    ['rlm-opencode sessions move ~/old ~/new', 'after a move to another disk'],
    ['rlm-opencode sessions move sess_1a2b .', 'to this directory'],
    ['rlm-opencode sessions move --replace ~/app ~/copy', 'what ~/copy had stays aside'],
  ],
  'sessions pin': [
    ['rlm-opencode sessions pin e12 e40', 'these never go to make room'],
    ["rlm-opencode sessions pin --path 'docs/**'", 'all of a folder'],
  ],
  'sessions gc': [
    ['rlm-opencode sessions gc --dry-run', 'what would go, and why'],
    ['rlm-opencode sessions gc', 'what a server does by itself'],
  ],
  'sessions unpin': [['rlm-opencode sessions unpin e12', 'may go like others']],
  'sessions pins': [['rlm-opencode sessions pins', 'of this project']],
  'sessions salvage': [['rlm-opencode sessions salvage sess_1a2b', 'the old store stays']],
  config: [
    ['rlm-opencode config', 'every setting and its source'],
    ['RLM_PORT=9000 rlm-opencode config | grep port', 'what a variable does'],
  ],
  doctor: [['rlm-opencode doctor', 'settings, provider, disk and stores']],
  ask: [
    ["rlm-opencode ask 'Which test failed first?' --file ci.log", 'over a file'],
    ["rlm-opencode ask 'What did we decide on caching?'", 'over what is stored'],
  ],
  'setup install': [
    ['rlm-opencode setup install --dry-run', 'shows the change to OpenCode'],
    ['rlm-opencode setup install codex', 'the same for Codex'],
  ],
  'setup uninstall': [['rlm-opencode setup uninstall', 'takes the provider out again']],
  'setup status': [['rlm-opencode setup status', 'whether it is installed']],
  service: [
    ['rlm-opencode service install --dry-run', 'the file, unwritten'],
    ['rlm-opencode service uninstall', 'takes it away'],
  ],
  bench: [
    ['rlm-opencode bench niah', 'without an upstream: a scripted policy'],
    ['rlm-opencode bench search', 'beside ripgrep'],
  ],
};

/** Adds examples to the help of every command that has none of its own. */
export function addExamples(program: Command): void {
  for (const top of program.commands) {
    everyCommand(top, (command) => {
      const name = command === top ? top.name() : `${top.name()} ${command.name()}`;
      const given = known[name] ?? (top.name() === 'bench' ? benchExamples(name) : undefined);
      if (given !== undefined) command.addHelpText('after', examples(...given));
    });
  }
}

/** All benchmarks are started alike. */
function benchExamples(name: string): readonly Example[] {
  return [[`rlm-opencode ${name}`, 'results go to bench-results/, or where --out says']];
}

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { Command } from 'commander';
import { print } from '../screen.ts';

/**
 * The parts of the document, in its order: a benchmark's results under its name, and what they
 * mean.
 */
const chapters: readonly {
  readonly name: string;
  readonly title: string;
  readonly words: string;
  /** What runs it, where that is not a command of this program. */
  readonly command?: string;
}[] = [
  {
    name: 'search',
    title: 'Search',
    words:
      'Queries end to end from the call of the tool, against `rg -c` as a process in the same run, turn about. The text is generated from a seed: source-like code, logs, JSON and Chinese prose in mixed order. The terms called selective stand in few of its blocks; in a first version of the text two of them stood in most blocks, and there the index was worth a factor of six, not of fifteen and more: what is everywhere has to be read.',
  },
  {
    name: 'steps',
    title: 'What a model waits for',
    words:
      'Through the real server: from the end of a tool call in the upstream’s stream to the next request that the upstream gets, turn about with `rg -c` over the same text. Bytes read are all that the server’s process reads in a turn, its sockets included.',
  },
  {
    name: 'entries',
    title: 'Few entries and many',
    words:
      'Whole turns through the real server in a store of 100 small files and in one of 60,000, restart about; and the first turn of a server that has just started, beside parsing the same journal in a process of its own.',
  },
  { name: 'store', title: 'Store', words: 'Median and 99th percentile.' },
  {
    name: 'turn',
    title: 'A turn with a long history',
    words: 'A client resends everything with every turn; what is known should cost nothing.',
  },
  {
    name: 'proxy',
    title: 'The wire',
    words:
      'Against a plain byte relay on undici before the same scripted upstream, turn about, when both have run for some seconds. Fourteen conversations ask in turn, each with texts of its own in messages of 400 characters and with the answers that it was given, so that no body is the one before. In an earlier version one conversation was sent again and again in messages of 2,000 characters, and the relay was on Node’s own client, which is slower: it said 1.27x and 0.65x where this one says what stands below. A later one went on with conversations that had begun with our tools as if they had none, and called that the ordinary chat: 3.5x for 200 KB. Both are told apart now (loop active); messages of 4000 are long enough that each question is stored, on the disk, before it goes up.',
  },
  {
    name: 'faces',
    title: 'A chunk in other protocols',
    words: 'Processor time of writing one chunk of an answer down.',
    command: 'node test/long/face-chunks.ts',
  },
  {
    name: 'command',
    title: 'Commands',
    words:
      'As processes, from start to end, turn about with a Node that does nothing. The ratio is what counts.',
  },
  {
    name: 'soak',
    title: 'One chat of 2,000 turns',
    words:
      'A client that never compacts resends 100M characters in the end; the window is 128K tokens, and the provider counts honestly.',
    command: 'node test/long/soak.ts',
  },
  {
    name: 'directories',
    title: 'A thousand projects',
    words:
      'Mixed traffic of eight chats at once over 1,000 project directories; descriptors and memory are to level off.',
    command: 'node test/long/directories.ts',
  },
  {
    name: 'niah',
    title: 'Needles in a haystack',
    words:
      'The policy that plays the model is a script and no language model, so all of the time is the proxy’s own: what it adds to the time that a model takes. The design this project started from reported, model time included, about 30 s at 1M characters, 60 s at 10M, 120 s at 40M, and left 100M open; beside such times the share that is ours is below one hundredth. `peak MB` is the server’s process.',
  },
  { name: 'aggregate', title: 'Counting and grouping', words: 'Scripted policy, not a model.' },
  { name: 'pairs', title: 'Pairs', words: 'Scripted policy, not a model.' },
  { name: 'hops', title: 'Chains of assignments', words: 'Scripted policy, not a model.' },
  { name: 'codeqa', title: 'Questions over a repository', words: 'Scripted policy, not a model.' },
  { name: 'recall', title: 'A long session', words: 'Scripted policy, not a model.' },
  {
    name: 'real',
    title: 'Texts that people wrote',
    words:
      'The changelogs, the package index and installed sources of this machine, and 6,046 mails that were collected to train filters of spam. Asked for are counts; pairs of people, senders and folders by joined conditions; the n-th of many near-identical entries, mails and definitions, word for word; what is reached in a graph; and 200 things that are nowhere, beside some that are, in the same words. What is right is computed from the files, without the product; the policy sees only what the tools show. Scripted policy, not a model.',
  },
  {
    name: 'prompts',
    title: 'What prompts cost',
    words:
      'Characters of JSON that went to a scripted model, in a window of 128,000 tokens. Before: every text of 10,000 characters is a stub at once, results are JSON, and a new chat in a project with texts has all tools.',
    command: 'node test/long/prompt-cost.ts CHECKOUT_BEFORE .',
  },
];

/**
 * Writes a benchmark's results as data, and its table, where {@link benchDocumentCommand} finds
 * them.
 */
export async function writeResults(
  folder: string,
  name: string,
  results: unknown,
  table: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(results, undefined, 2)}\n`);
  await writeFile(join(folder, `${name}.table.txt`), `${table.trimEnd()}\n`);
}

/**
 * `rlm-opencode bench document`: one page from the results of all benchmarks that have been run.
 */
export function benchDocumentCommand(): Command {
  return new Command('document')
    .description('write one page from the results of the benchmarks that have been run')
    .option('--out <dir>', 'where the results are', 'bench-results')
    .option('--file <path>', 'the page', 'docs/benchmarks.md')
    .action(async ({ out, file }: { out: string; file: string }) => {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, await document(out, file));
      print(`${file}\n`);
    });
}

async function document(folder: string, file: string): Promise<string> {
  const parts = [
    '# Benchmarks',
    `Measured on ${machine()}. Regenerated by \`npm run benchmarks\`. Single figures move with the machine's load; ratios within one run say more.`,
  ];
  for (const { name, title, words, command = `rlm-opencode bench ${name}` } of chapters) {
    const table = await readOptional(join(folder, `${name}.table.txt`));
    if (table === undefined) continue;
    parts.push(`## ${title}`, words, `\`${command}\``, `\`\`\`\n${table.trimEnd()}\n\`\`\``);
    const plot = join(folder, `${name}.svg`);
    if ((await readOptional(plot)) !== undefined)
      parts.push(`![${title}](${relative(dirname(file), join(folder, basename(plot)))})`);
  }
  return `${parts.join('\n\n')}\n`;
}

function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores of ${cpu?.model.trim() ?? 'an unknown processor'}, ${memory} GiB of memory, ${process.platform}, Node ${process.versions.node}`;
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

import { z } from 'zod';
import { storeUrlSetting } from './data-dir.ts';
import { count, optionalCount, optionalText } from './setting.ts';

/** What one turn may use. Reaching a limit ends it with the best partial answer. */
export const turnLimitSettings = z.strictObject({
  steps: count(50, 1, {
    env: 'RLM_MAX_STEPS',
    description: 'Upstream completions in one turn; at the limit the model is asked to answer.',
  }),
  callsPerStep: count(32, 1, {
    env: 'RLM_MAX_CALLS_PER_STEP',
    description: 'Calls of our tools run in one step.',
  }),
  answerChars: count(67_108_864, 1000, {
    env: 'RLM_MAX_ANSWER_CHARS',
    unit: 'characters',
    description:
      'What the model may say in one turn: text, reasoning and the arguments of its calls. More is cut off.',
  }),
  answerCalls: count(20_000, 1, {
    env: 'RLM_MAX_ANSWER_CALLS',
    description: 'Tool calls that the model may make in one turn, its client’s and ours.',
  }),
  subCalls: count(200, 0, {
    env: 'RLM_MAX_SUB_CALLS',
    description: 'Sub-model calls in one turn (`rlm_query`, `llm_query`).',
  }),
  depth: count(2, 0, {
    env: 'RLM_MAX_DEPTH',
    description: 'How deep a sub-call may make sub-calls.',
  }),
  tokens: count(20_000_000, 1, {
    env: 'RLM_MAX_TURN_TOKENS',
    unit: 'tokens',
    description: 'Tokens of one turn over all steps and sub-calls.',
  }),
  money: z.number().positive().optional().meta({
    env: 'RLM_MAX_TURN_MONEY',
    unit: 'currency of `prices`',
    description: 'Cost of one turn, where prices are configured. Absent: no limit.',
  }),
  wallClockMs: count(3_600_000, 1000, {
    env: 'RLM_MAX_TURN_MS',
    unit: 'ms',
    description: 'Length of one turn.',
  }),
});

/** What all turns of a day (UTC), and what is passed through, may use together. */
export const dayLimitSettings = z.strictObject({
  subCalls: optionalCount(0, {
    env: 'RLM_MAX_DAY_SUB_CALLS',
    description: 'Sub-model calls in one day. Absent: no limit.',
  }),
  tokens: optionalCount(1, {
    env: 'RLM_MAX_DAY_TOKENS',
    unit: 'tokens',
    description: 'Tokens in one day. Absent: no limit.',
  }),
  money: z.number().positive().optional().meta({
    env: 'RLM_MAX_DAY_MONEY',
    unit: 'currency of `prices`',
    description: 'Cost of one day, where prices are configured. Absent: no limit.',
  }),
  wallClockMs: optionalCount(1000, {
    env: 'RLM_MAX_DAY_MS',
    unit: 'ms',
    description: 'Time spent on turns and on what is passed through in one day. Absent: no limit.',
  }),
});

/** Bounds of the tools. */
export const toolSettings = z.strictObject({
  searchDeadlineMs: count(2000, 10, {
    env: 'RLM_SEARCH_DEADLINE_MS',
    unit: 'ms',
    description:
      'Longest work of one search; then what was found so far is returned and said to be partial.',
  }),
  maxResultChars: count(60_000, 1000, {
    env: 'RLM_MAX_RESULT_CHARS',
    unit: 'characters',
    description: "Longest text of one tool's result.",
  }),
  queryChunkChars: optionalCount(1000, {
    env: 'RLM_QUERY_CHUNK_CHARS',
    unit: 'characters',
    description: "Chunk size of `rlm_query`. Absent: what fits the sub-model's window.",
  }),
  queryConcurrency: count(8, 1, {
    env: 'RLM_QUERY_CONCURRENCY',
    description: 'Sub-model calls of one turn at the same time.',
  }),
});

/** Bounds of the sandbox behind `rlm_exec`. */
export const sandboxSettings = z.strictObject({
  memoryBytes: count(268_435_456, 1_048_576, {
    env: 'RLM_SANDBOX_MEMORY_BYTES',
    unit: 'bytes',
    description: 'Memory of one program.',
  }),
  computeMs: count(120_000, 10, {
    env: 'RLM_SANDBOX_MS',
    unit: 'ms',
    description:
      'CPU time of one run; waits for reads, searches and sub-models do not count (`turn.wallClockMs` bounds them).',
  }),
  outputChars: count(20_000, 100, {
    env: 'RLM_SANDBOX_OUTPUT_CHARS',
    unit: 'characters',
    description: 'Longest output of one run; the rest is counted and left out.',
  }),
  maxQuestions: count(1_000, 1, {
    env: 'RLM_SANDBOX_MAX_QUESTIONS',
    description:
      'Questions that a program may ask sub-models in one batch; a longer list is refused.',
  }),
});

/** Bounds of the store, whose it is, and whether machines share it. */
export const storeSettings = z.strictObject({
  url: optionalText({
    ...storeUrlSetting,
    secret: true,
    description:
      'A PostgreSQL database that machines share their stores in (docs/team.md): `postgres://user:password@host:5432/database`. Absent: stores are files of this machine.',
  }),
  project: optionalText({
    env: 'RLM_STORE_PROJECT',
    description:
      'What all that comes through this proxy is called in the shared store. Absent: as the header `x-rlm-project` says, else where the checkout comes from, else machine and path.',
  }),
  key: optionalText({
    env: 'RLM_STORE_KEY',
    secret: true,
    description:
      'A secret of the team, with which the shared database cannot read what it holds. Chosen once, at the first `store init`.',
  }),
  waitMs: count(2_000, 100, {
    env: 'RLM_STORE_WAIT_MS',
    unit: 'ms',
    description:
      'How long turns wait, once in an outage, for a shared database that does not answer.',
  }),
  spoolBytes: count(134_217_728, 1_048_576, {
    env: 'RLM_STORE_SPOOL_BYTES',
    unit: 'bytes',
    description:
      'How much may wait on this machine for a shared database that cannot be reached; what is more is not stored.',
  }),
  replicaMaxBytes: optionalCount(1_048_576, {
    env: 'RLM_STORE_REPLICA_MAX_BYTES',
    unit: 'bytes',
    description:
      'How much of shared stores this machine keeps, with their indexes. Those used longest ago go whole, none in use does, and the next use fetches them again. Absent: no limit.',
  }),
  replicaMaxAgeDays: optionalCount(1, {
    env: 'RLM_STORE_REPLICA_MAX_AGE_DAYS',
    unit: 'days',
    description:
      'What is here of a shared store goes so long after its last use; the next one fetches it again. Absent: never.',
  }),
  maxBytes: count(34_359_738_368, 1_048_576, {
    env: 'RLM_STORE_MAX_BYTES',
    unit: 'bytes',
    description: "Size of one session's text; a full store goes on answering and captures no more.",
  }),
  quotaBytes: optionalCount(1_048_576, {
    env: 'RLM_STORE_QUOTA_BYTES',
    unit: 'bytes',
    description:
      'How much text one store may hold. Before it is full its oldest texts go, but for pinned ones and those of the last hour. Absent: as much as fits.',
  }),
  quotaAllBytes: optionalCount(1_048_576, {
    env: 'RLM_STORE_QUOTA_ALL_BYTES',
    unit: 'bytes',
    description: 'The same for all stores together: the oldest texts of any go. Absent: no limit.',
  }),
  maxAgeDays: optionalCount(1, {
    env: 'RLM_STORE_MAX_AGE_DAYS',
    unit: 'days',
    description: 'Texts go so long after they came last, but for pinned ones. Absent: never.',
  }),
  maxOpenSessions: count(64, 1, {
    env: 'RLM_STORE_MAX_OPEN_SESSIONS',
    description:
      'Sessions whose files are open at once; fewer where the process may open few files. Those used longest ago are closed first, none in use is.',
  }),
  sessionIdleMs: count(600_000, 1000, {
    env: 'RLM_STORE_SESSION_IDLE_MS',
    unit: 'ms',
    description: "A session's files are closed after so long without use; the next use opens them.",
  }),
  worktrees: z.enum(['own', 'shared']).default('own').meta({
    env: 'RLM_STORE_WORKTREES',
    description:
      'Whose store a linked git worktree uses: its `own`, or that of its main tree (`shared`; one that it has already is left as it is).',
  }),
});

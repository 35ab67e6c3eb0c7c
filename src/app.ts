import { join, resolve } from 'node:path';
import type { Clock, Ids } from './clock.ts';
import { ChatProxy } from './chat/chat-service.ts';
import type { ChatTarget } from './chat/chat-turn.ts';
import { Budget } from './turn/budget.ts';
import { openLedgerFile, type LedgerFile } from './turn/day-ledger.ts';
import { measuredSearch } from './turn/measured-search.ts';
import { SharedDay } from './turn/shared-day.ts';
import { guardFor } from './secrets/guard.ts';
import { RequestIntake } from './capture/intake.ts';
import { Outliner } from './outline/outliner.ts';
import { PromptMaker } from './prompt/build-prompt.ts';
import { healthOf, storeState } from './chat/health.ts';
import { earlierOutlineOf } from './capture/earlier-outline.ts';
import { ToollessModels } from './prompt/toolless-models.ts';
import { TurnStats } from './chat/turn-stats.ts';
import type { SubTarget } from './turn/turn-tools.ts';
import { AnswerMemory } from './history/answer-memory.ts';
import { SessionResolver } from './history/session-resolver.ts';
import { scalesFor } from './prompt/prompt-cost.ts';
import { TokenGauge } from './prompt/token-gauge.ts';
import { machineOf } from './config/places.ts';
import type { Config } from './config/resolve.ts';
import { messagesFaces, type FactsOf } from './faces/messages/messages-face.ts';
import { type PassAccount, passThrough } from './faces/pass-through.ts';
import { responsesFace } from './faces/responses/responses-face.ts';
import { maskedConfig } from './config/show.ts';
import type { ChatHandler, Face, McpHandler, OperationsHandler } from './http/handlers.ts';
import { createServer, type ProxyServer } from './http/server.ts';
import { storeTotals } from './operations/store-totals.ts';
import type { Logger } from './log.ts';
import type { HttpSessions } from './mcp/http-sessions.ts';
import { type LatePage, latePage } from './page/late-page.ts';
import { openSandboxes, type Sandboxes } from './sandbox/sandboxes.ts';
import { openSearchEngine } from './search/engine.ts';
import type { SearchEngine } from './search/types.ts';
import { sessionsForDescriptors } from './store/disk/descriptor-room.ts';
import { type Files, realFiles } from './store/disk/files.ts';
import { boundsOf, sharedStoreOf } from './config/bounds.ts';
import { openSessionsSoon } from './store/late-sessions.ts';
import type { SessionsOptions } from './store/sessions.ts';
import type { Sessions, TextHolder } from './store/types.ts';
import { IndexKeeper } from './tools/index-keeper.ts';
import { programVariables } from './tools/programs/forgotten-variables.ts';
import { linkedStoresOf } from './tools/linked/linked-stores.ts';
import { allTools, ToolRegistry } from './tools/registry.ts';
import { LiveTurns } from './page/live-turns.ts';
import { type FoundSessions, Traces } from './trace/traces.ts';
import { Catalog, type CatalogProvider, type ResolvedModel } from './upstream/catalog.ts';
import { createDemoUpstream, demoModel } from './upstream/demo-upstream.ts';
import type { Policy } from './upstream/demo-policy.ts';
import { openProvider } from './upstream/open-provider.ts';
import { findProfile } from './upstream/profiles.ts';
import { readOperation } from './wire/operation-lines.ts';

/** What an app is built from. */
interface AppOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly ids: Ids;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
  /** The disk that stores are on. Default: this machine's. */
  readonly files?: Files;
  /** Further scripts of the demo upstream. */
  readonly policies?: readonly Policy[];
  /** What is known of models' token counts from the start. Default: nothing. */
  readonly gauge?: TokenGauge;
  /**
   * Whether what a directory is (its git remote, its first commit) is looked up on this machine.
   * Default: yes. Not where a request is played again that somebody else has sent.
   */
  readonly notesPlaces?: boolean;
  /**
   * Threads that several apps of one process share; whoever made them ends them. Absent: the app
   * has its own.
   */
  readonly threads?: { readonly search: SearchEngine; readonly outliner: Outliner };
  /** What commands may ask of this server; made from the parts that it needs. */
  readonly operations: (parts: {
    readonly sessions: Sessions;
    readonly search: SearchEngine;
    readonly indexes: IndexKeeper;
    readonly newPageCode: LatePage['newCode'];
    readonly onToolCall: (name: string) => void;
  }) => OperationsHandler;
}

/** Everything, built and not listening yet. Closed in the reverse order by its disposal. */
export interface App {
  readonly server: ProxyServer;
  readonly sessions: Sessions;
  readonly search: SearchEngine;
  /** What turns do and have done. */
  readonly turns: LiveTurns;
  /** For commands of the same user; stands in the owner file while the server runs. */
  readonly ownerSecret: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Kept free for the answer where neither client nor configuration says how long it may get, tokens.
 */
const defaultAnswerTokens = 8_192;
/** A day, milliseconds. */
const dayMs = 86_400_000;
/** A provider's model list is asked for again after this long. */
const listMaxAgeMs = 600_000;
/** Longest wait for a provider's model list. */
const listTimeoutMs = 5_000;
/**
 * Sandboxes alive at once, one a chat: 25 MB each, 50 MB after a program has streamed through 100M
 * characters (measured).
 */
const maxSandboxes = 4;
/** A chat's variables are kept for so long after its last program. */
const sandboxIdleMs = 1_800_000;
/**
 * Share of a sub-model's window that a slice of text may fill, in characters: 3 to a token, and
 * room for question and answer.
 */
const subTextCharsPerToken = 1.5;

/**
 * Builds every part from the configuration: the only file that knows them all.
 * @throws ProxyError `store_locked` when another process holds the data directory; `config_invalid`
 */
export async function openApp(options: AppOptions): Promise<App> {
  const { config, log, clock, ids } = options;
  // Whatever fails on the way, what was opened before it is closed again.
  await using opened = new AsyncDisposableStack();
  // What holds texts beside the stores, and lets go of what is forgotten.
  const holders: TextHolder[] = [];
  const sessions = opened.use(await openStores(options, holders));
  const traces = opened.use(createTraces(options));
  if (traces !== undefined) holders.push(traces);
  const found = traces?.sessions(sessions) ?? sessions;
  const answers = opened.use(new AnswerMemory(found.chats, clock));
  const catalog = opened.use(openCatalog(options));
  const stats = new TurnStats();
  const engine = options.threads?.search ?? opened.use(openSearchEngine({ clock }));
  const search = measuredSearch(engine, clock, (ms) => stats.work.noteSearch(ms));
  const indexes = opened.use(new IndexKeeper({ search: engine, clock, log }));
  const sandboxes = opened.use(openProgramSandboxes(options));
  holders.push(programVariables(sandboxes, sessions));
  const outliner = options.threads?.outliner ?? opened.use(new Outliner(clock, log));
  const turns = new LiveTurns(clock);
  const toolless = new ToollessModels();
  const gauge = options.gauge ?? new TokenGauge(clock);
  const day = opened.use(
    await openLedgerFile(join(config.dataDir, 'use-of-the-day.json'), options),
  );
  const together = openSharedDay(options, sessions, day);
  if (together !== undefined) opened.use(together);
  const ownerSecret = ids.next('') + ids.next('');
  const chat = createChat(options, {
    sessions,
    found,
    answers,
    search,
    indexes,
    sandboxes,
    outliner,
    catalog,
    stats,
    turns,
    gauge,
    toolless,
    day,
    together,
    traces,
  });
  const startedAtMs = clock.now();
  const page = latePage({
    ...options,
    sessions,
    search,
    turns,
    dataDir: config.dataDir,
    server: () => {
      const { totals } = stats;
      const { status, lastStoreFault } = storeState({ storeFault: sessions.fault?.code, totals });
      const fault = sessions.fault?.message ?? lastStoreFault;
      const shown = { status, ...(fault === undefined ? {} : { fault }), totals };
      return { version: options.version, startedAtMs, upstreams: catalog.providerIds, ...shown };
    },
  });
  const totalsOf = storeTotals(sessions, clock);
  const operations = options.operations({
    sessions,
    search,
    indexes,
    newPageCode: page.newCode,
    onToolCall: (name) => stats.work.noteCall(name),
  });
  const mcp = opened.use(mcpOver(options, operations));
  const server = createServer({
    ...config.server,
    ownerSecret,
    log,
    clock,
    ids,
    chat,
    faces: [
      responsesFace(chat, clock),
      ...messagesFaces(chat, factsFrom(config, catalog, gauge)),
    ].map((face) => tracedFace(face, traces)),
    pass: passThrough({
      resolve: async (name, signal) => {
        const [model] = await Promise.all([catalog.resolve(name, signal), together?.refresh()]);
        return { ...model, openAccount: () => openPassAccount(options, day, model) };
      },
      log,
    }),
    models: catalog,
    metrics: {
      report: async () =>
        // Loaded by the first who asks.
        (await import('./chat/metrics.ts')).metricsText({
          totals: stats.totals,
          work: stats.work,
          live: server.liveCount,
          day: { used: day.ledger.state, limits: config.day },
          stores: await totalsOf(),
          openStores: sessions.openCount,
          storeFault: sessions.fault?.code,
          shared: sessions.shared?.state,
        }),
    },
    health: {
      report: () =>
        healthOf({
          version: options.version,
          upstreams: catalog.providerIds,
          totals: stats.totals,
          storeFault: sessions.fault?.code,
          lastTidying: sessions.lastTidying,
          shared: sessions.shared?.state,
          modelsWithoutTools: toolless.names,
          live: server.liveCount,
        }),
    },
    mcp,
    operations,
    page,
    onFault: (code) => stats.work.noteFault(code),
    onArrival: () => sessions.arriving?.(),
  });
  opened.defer(async () => server.close());
  const all = opened.move();
  return {
    server,
    sessions,
    search,
    turns,
    ownerSecret,
    [Symbol.asyncDispose]: async () => all.disposeAsync(),
  };
}

/** The Model Context Protocol, loaded by the first message in it. */
function mcpOver(
  { version, clock, ids }: AppOptions,
  operations: OperationsHandler,
): McpHandler & AsyncDisposable {
  let sessions: Promise<HttpSessions> | undefined;
  const open = async (): Promise<HttpSessions> => {
    const { HttpSessions } = await import('./mcp/http-sessions.ts');
    return new HttpSessions({
      version,
      clock,
      ids,
      ask: async (operation, args, { signal, onProgress }) => {
        const body = Buffer.from(JSON.stringify(args));
        return readOperation(operations.run({ operation, body, signal }), onProgress);
      },
    });
  };
  return {
    handle: async (message) => (await (sessions ??= open())).handle(message),
    [Symbol.asyncDispose]: async () => (await sessions)?.[Symbol.asyncDispose](),
  };
}

/** The stores of this machine, or those that it shares: then nothing of the others is loaded. */
async function openStores(
  { config, clock, ids, log, files, notesPlaces = true }: AppOptions,
  holders: readonly TextHolder[],
): Promise<Sessions> {
  const { maxBytes, maxAgeDays } = config.memory;
  const options: SessionsOptions = {
    dataDir: config.dataDir,
    files,
    clock,
    ids,
    log,
    maxSessionBytes: config.store.maxBytes,
    maxOpen: Math.min(config.store.maxOpenSessions, sessionsForDescriptors()),
    idleMs: config.store.sessionIdleMs,
    worktrees: config.store.worktrees,
    bounds: boundsOf(config.store),
    keepsBounds: true,
    searchPath: notesPlaces ? machineOf().env['PATH'] : undefined,
    notesPlaces,
    holders,
    chatMemory: { maxBytes, maxAgeMs: maxAgeDays * dayMs },
  };
  const shared = sharedStoreOf(config.store);
  if (shared === undefined) return openSessionsSoon(options);
  const { openSharedSessions } = await import('./shared/shared-sessions.ts');
  return openSessionsSoon(options, async () => openSharedSessions({ ...options, ...shared }));
}

function openProgramSandboxes({ config, clock }: AppOptions): Sandboxes {
  return openSandboxes({
    clock,
    maxSandboxes,
    idleMs: sandboxIdleMs,
    limits: {
      memoryBytes: config.sandbox.memoryBytes,
      stackBytes: 262_144,
      computeMs: config.sandbox.computeMs,
      maxOutputChars: config.sandbox.outputChars,
      maxAnswerChars: 4_000_000,
      maxQuestions: config.sandbox.maxQuestions,
      maxReadChars: 10_000_000,
    },
  });
}

/** Absent where no turn is to be written down: then nothing stands in a turn's way. */
function createTraces({ config, log, clock, files, version }: AppOptions): Traces | undefined {
  const { dir, texts, maxBytes, maxTurns } = config.trace;
  if (dir === undefined) return undefined;
  log.info(
    { dir: resolve(dir) },
    'each turn is written down, prompts and answers whole (RLM_TRACE_DIR)',
  );
  return new Traces({
    dir: resolve(dir),
    withTexts: texts === '1',
    withRequests: config.capture.secrets === 'keep',
    maxBytes,
    maxTurns,
    files: files ?? realFiles,
    clock,
    log,
    version,
    settings: maskedConfig(config),
    outlineOf: earlierOutlineOf,
  });
}

/** A trace begins with the client's own request, whatever protocol that speaks. */
function tracedFace(face: Face, traces: Traces | undefined): Face {
  return traces === undefined || face.hasNoTurn === true
    ? face
    : { ...face, chat: traces.around(face.chat, face.path) };
}

interface ChatParts {
  readonly sessions: Sessions;
  readonly found: FoundSessions;
  readonly answers: AnswerMemory;
  readonly search: SearchEngine;
  readonly indexes: IndexKeeper;
  readonly sandboxes: Sandboxes;
  readonly outliner: Outliner;
  readonly catalog: Catalog;
  readonly stats: TurnStats;
  readonly turns: LiveTurns;
  readonly gauge: TokenGauge;
  readonly toolless: ToollessModels;
  readonly day: LedgerFile;
  readonly together: SharedDay | undefined;
  readonly traces: Traces | undefined;
}

function createChat(
  options: AppOptions,
  {
    sessions,
    found,
    answers,
    search,
    indexes,
    sandboxes,
    outliner,
    catalog,
    stats,
    turns,
    gauge,
    toolless,
    day,
    together,
    traces,
  }: ChatParts,
): ChatHandler {
  const { config, log, clock, ids } = options;
  const limits = { steps: config.turn.steps, callsPerStep: config.turn.callsPerStep };
  const resolveTarget = async (model: string, signal: AbortSignal): Promise<ChatTarget> => {
    const target = targetOf(config, await catalog.resolve(model, signal));
    return traces?.target(target, gauge.learned(target.gaugeKey)) ?? target;
  };
  const chat = new ChatProxy({
    intake: createIntake(options, { found, answers, outliner }),
    prompts: new PromptMaker({
      inject: config.inject,
      registry: new ToolRegistry(allTools, { onRun: (name) => stats.work.noteCall(name) }),
      clock,
      gauge,
      toolless,
      shares: config.window,
      answerTokens: defaultAnswerTokens,
      log,
    }),
    gauge,
    toolless,
    resolve: async (model, signal) => {
      const [target] = await Promise.all([resolveTarget(model, signal), together?.refresh()]);
      return target;
    },
    resolveSub: async (target, signal) => {
      const { subModel } = config;
      const sub = subModel === undefined ? target : await resolveTarget(subModel, signal);
      return subTargetOf(sub, config);
    },
    openBudget: () => new Budget({ clock, turn: config.turn, day: config.day, ledger: day.ledger }),
    keepDay: () => day.keep(),
    tools: {
      search,
      linkedTo: (session) => linkedStoresOf(indexes.keeping(sessions), session),
      sandboxes,
      clock,
      searchDeadlineMs: config.tools.searchDeadlineMs,
      maxResultChars: config.tools.maxResultChars,
      concurrency: config.tools.queryConcurrency,
      limits,
      checksQuotes: config.quotes === 'check',
    },
    indexes,
    limits,
    answerLimits: { maxChars: config.turn.answerChars, maxCalls: config.turn.answerCalls },
    showProgress: config.progress === 'reasoning',
    ...(config.capture.secrets === 'mask' ? { secrets: guardFor('mask') } : {}),
    maxClosingChars: config.strip.minChars,
    clock,
    stats,
    watcher: turns,
    nextId: () => ids.next('t_'),
    log,
  });
  return traces?.around(chat) ?? chat;
}

function createIntake(
  { config, ids, log }: AppOptions,
  { found: sessions, answers, outliner }: Pick<ChatParts, 'found' | 'answers' | 'outliner'>,
): RequestIntake {
  return new RequestIntake({
    finder: new SessionResolver({ sessions, answers, ids, log }),
    limits: {
      captureMinChars: config.capture.minChars,
      stripMinChars: config.strip.minChars,
      stripMinCharsByTool: config.strip.perTool,
      stripIsFixed: config.strip.isFixed,
      stripFixedTools: config.strip.fixedTools,
      maxSpillBytes: config.capture.maxSpillBytes,
      outlineWaitMs: config.capture.outlineWaitMs,
      spillFolders: config.outputFolders,
    },
    usesStubs: config.inject !== 'never',
    outliner,
    secrets: guardFor(config.capture.secrets),
    log,
  });
}

function openCatalog(options: AppOptions): Catalog {
  const { config, clock, log, ids, random } = options;
  const providers = config.providers.map((provider): CatalogProvider => ({
    upstream: openProvider(provider, { patience: config.patience, clock, ids, random, log }),
    models: provider.models,
    modelDefaults: provider.modelDefaults,
    fallback: provider.fallback,
  }));
  const demo = (): CatalogProvider => ({
    upstream: createDemoUpstream({ ids, policies: options.policies }),
    models: [demoModel],
    modelDefaults: demoModel,
    fallback: [],
  });
  return new Catalog({
    providers: providers.length === 0 ? [demo()] : providers,
    defaultModel: config.defaultModel,
    listMaxAgeMs,
    listTimeoutMs,
    clock,
    log,
  });
}

function targetOf(config: Config, model: ResolvedModel): ChatTarget {
  const provider = config.providers.find((each) => each.id === model.providerId);
  const prices =
    provider?.models.find((each) => each.id === model.id)?.prices ?? provider?.modelDefaults.prices;
  return {
    upstream: model.upstream,
    model: model.id,
    gaugeKey: `${model.providerId}.${model.id}`,
    windowTokens: model.contextWindowTokens,
    maxOutputTokens: model.maxOutputTokens,
    prices,
  };
}

/** Absent where no limit of a day is set, or stores are files of this machine. */
function openSharedDay(
  { config, clock, log }: AppOptions,
  sessions: Sessions,
  { ledger, writer }: LedgerFile,
): SharedDay | undefined {
  const isLimited = Object.values(config.day).some((limit) => limit !== undefined);
  if (config.store.url === undefined || !isLimited) return undefined;
  return new SharedDay({ ledger, writer, pool: () => sessions.shared, clock, log });
}

/** What a request that is passed through draws on: the day's use, as turns do. */
function openPassAccount(
  { config, clock }: AppOptions,
  day: LedgerFile,
  model: ResolvedModel,
): PassAccount {
  const budget = new Budget({ clock, turn: config.turn, day: config.day, ledger: day.ledger });
  const { prices } = targetOf(config, model);
  return {
    refusal: budget.check()?.sentence,
    spend: (usage) => budget.spendUsage(usage, prices),
    close: () => {
      budget.close();
      day.keep();
    },
  };
}

/** What other protocols ask of a model before a turn. */
function factsFrom(config: Config, catalog: Catalog, gauge: TokenGauge): FactsOf {
  return async (name, signal) => {
    const model = await catalog.resolve(name, signal);
    const { gaugeKey, maxOutputTokens } = targetOf(config, model);
    const provider = config.providers.find(({ id }) => id === model.providerId);
    const scales = scalesFor(gaugeKey, {
      bytesPerToken: gauge.bytesPerToken(gaugeKey),
      partScale: gauge.partScale(gaugeKey),
    });
    return {
      maxOutputTokens,
      takesJsonSchema:
        provider !== undefined &&
        findProfile(provider.baseURL, provider.profile).takesJsonSchema === true,
      countTokens: (request) => Math.ceil(scales.weighRequest(request) / scales.bytesPerToken),
    };
  };
}

function subTargetOf(target: ChatTarget, config: Config): SubTarget {
  const fitting = Math.floor((target.windowTokens ?? 32_000) * subTextCharsPerToken);
  return {
    upstream: target.upstream,
    model: target.model,
    maxTextChars: Math.min(config.tools.queryChunkChars ?? fitting, fitting),
    prices: target.prices,
  };
}

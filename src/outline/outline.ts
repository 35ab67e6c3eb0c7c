import { diffLandmarks, diffScore, gitLogLandmarks, gitLogScore } from './diffs.ts';
import {
  jsonLandmarks,
  jsonLinesLandmarks,
  jsonLinesShare,
  looksLikeJson,
  looseJsonLandmarks,
  parsedJson,
} from './json-shape.ts';
import { languageOf, symbolsByLine } from './languages.ts';
import {
  folderLandmarks,
  folderScore,
  pathsLandmarks,
  pathsScore,
  searchLandmarks,
  searchScore,
  tableLandmarks,
  tableScore,
  treeLandmarks,
  treeScore,
} from './lists.ts';
import { failureWords, logLandmarks, logScore } from './logs.ts';
import { messagesLandmarks, messagesScore } from './messages.ts';
import { installLandmarks, installScore, buildLandmarks, buildScore } from './builds.ts';
import { canParse, symbolsByGrammar, type Symbol } from './symbols.ts';
import { testRunLandmarks, testRunScore } from './test-runs.ts';
import { countOf } from '../base/numbers.ts';
import { clip, TextView, type Landmark } from './text-view.ts';
import { tracesIn, traceScore } from './traces.ts';

/**
 * What kind of text this is and what in it is worth opening: made once, when a text is captured,
 * over all of it.
 */
export interface Outline {
  /** A short name: `log`, `test run`, `TypeScript`; `text` where nothing can be told. */
  readonly kind: string;
  /**
   * At most {@link maxItems} lines of at most {@link maxItemChars} characters, {@link maxChars} in
   * all. What stands on a line of the text begins with `line N: `, N from 1.
   */
  readonly items: readonly string[];
}

/** Enough to aim by; more would be a summary, and a summary rots. */
const maxItems = 14;
const maxItemChars = 130;
const maxChars = 800;

/**
 * Longer texts have no outline, characters: none would be ready while a request can wait (100 ms at
 * the 80 MB/s that a log takes), and handing one over would hold up the event loop.
 */
export const maxOutlinedChars = 8_000_000;

/** How sure must be who calls a text something. */
const leastScore = 0.4;

/** A kind, how sure it is, and what is worth naming. */
interface Recogniser {
  readonly kind: string;
  score(view: TextView): number;
  landmarks(view: TextView): Landmark[];
}

/** Where two are equally sure, the first wins. */
const recognisers: readonly Recogniser[] = [
  { kind: 'git log', score: gitLogScore, landmarks: gitLogLandmarks },
  { kind: 'diff', score: diffScore, landmarks: diffLandmarks },
  {
    kind: 'HTML',
    score: (view) => markupScore(view, /^\s*<(?:!doctype html|html)\b/i),
    landmarks: markupLandmarks,
  },
  {
    kind: 'XML',
    score: (view) => markupScore(view, /^\s*<(?:\?xml|svg|!doctype)\b/i),
    landmarks: markupLandmarks,
  },
  { kind: 'table', score: tableScore, landmarks: tableLandmarks },
  { kind: 'directory listing', score: folderScore, landmarks: folderLandmarks },
  { kind: 'test run', score: testRunScore, landmarks: testRunLandmarks },
  { kind: 'package manager output', score: installScore, landmarks: installLandmarks },
  { kind: 'build output', score: buildScore, landmarks: buildLandmarks },
  { kind: 'compiler or linter messages', score: messagesScore, landmarks: messagesLandmarks },
  { kind: 'stack trace', score: traceScore, landmarks: tracesIn },
  { kind: 'log', score: logScore, landmarks: logLandmarks },
  { kind: 'search results', score: searchScore, landmarks: searchLandmarks },
  { kind: 'tree', score: treeScore, landmarks: treeLandmarks },
  { kind: 'paths', score: pathsScore, landmarks: pathsLandmarks },
];

/** What was found without a parser, and how to do better. */
export interface QuickOutline {
  readonly outline: Outline;
  /** Set for code: the outline with the symbols that its grammar finds. */
  readonly parse?: () => Promise<Outline>;
}

/**
 * Tells what a text is, by evidence: all kinds are scored, the surest wins. Pure; 25 MB/s and more.
 * `path` is the file that the text came from, where that is known.
 */
export function outlineOf(text: string, path?: string): QuickOutline {
  const view = new TextView(text);
  const json = jsonOutline(view);
  if (json !== undefined) return { outline: json };
  const scored = recognisers.map((recogniser) => ({ recogniser, score: recogniser.score(view) }));
  const best = scored.reduce((a, b) => (b.score > a.score ? b : a));
  const guess = languageOf(view, path);
  if (guess !== undefined && guess.score > leastScore && guess.score > best.score) {
    const { language } = guess;
    const outline = outlineWith(language, choose(symbolsByLine(view, language).map(asSymbol)));
    if (!canParse(view, language)) return { outline };
    const parse = async (): Promise<Outline> => {
      const symbols = await symbolsByGrammar(view, language);
      return symbols.length === 0 ? outline : outlineWith(language, choose(symbols));
    };
    return { outline, parse };
  }
  const traces = tracesIn(view);
  if (best.score < leastScore) {
    if (traces.length > 0) return { outline: outlineWith('stack trace', traces) };
    return { outline: outlineWith('text', failures(view)) };
  }
  const own = best.recogniser.landmarks(view);
  // A trace is worth opening wherever it is; a test runner prints one for each failure.
  const named = new Set(own.map(({ line }) => line));
  const others =
    best.recogniser.kind === 'test run'
      ? []
      : traces.filter(({ line }) => !named.has(line)).slice(0, 3);
  return { outline: outlineWith(best.recogniser.kind, [...own, ...others]) };
}

function jsonOutline(view: TextView): Outline | undefined {
  const json = parsedJson(view);
  if (json !== undefined) return outlineWith('JSON', jsonLandmarks(view, json.value));
  if (jsonLinesShare(view) > 0.85) {
    if (logScore(view) > 0.8)
      return outlineWith('log', [...logLandmarks(view), ...jsonLinesLandmarks(view)]);
    return outlineWith('JSON lines', jsonLinesLandmarks(view));
  }
  return looksLikeJson(view) ? outlineWith('JSON', looseJsonLandmarks(view)) : undefined;
}

/** Lines with words of failure, for texts of no known kind. */
function failures(view: TextView): Landmark[] {
  const all = view.find(failureWords, 1_000);
  const shown = all.length <= 6 ? all : [...all.slice(0, 4), ...all.slice(-2)];
  return shown.map(({ index }) => view.landmark(index));
}

function markupScore(view: TextView, opening: RegExp): number {
  return opening.test(view.text.slice(0, 500)) ? 0.98 : 0;
}

function markupLandmarks(view: TextView): Landmark[] {
  return view.find(/<(?:title|h[1-3])\b[^>]*>(.*)/i, 40).map(({ index, found }) => ({
    line: index + 1,
    text:
      (found[0] ?? '')
        .replaceAll(/<[^>]*>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim() || view.line(index).trim(),
  }));
}

function asSymbol(landmark: Landmark): Symbol {
  const indent = /^\s*/.exec(landmark.text)?.[0].length ?? 0;
  return { line: landmark.line ?? 1, text: landmark.text, depth: indent > 0 ? 1 : 0, lineCount: 1 };
}

/** What others belong to or are made of. */
const isType =
  /\b(?:class|interface|struct|trait|enum|impl|module|namespace|record|type|TABLE|TYPE)\b/;

/** Of more symbols than can be named: the outer ones first, of these types, then the longest. */
function choose(symbols: readonly Symbol[]): Landmark[] {
  const max = maxItems - 1;
  const landmarks = symbols.map(({ line, text }) => ({ line, text: text.trim() }));
  if (symbols.length <= max) return landmarks;
  const order = symbols
    .map(({ depth, lineCount, text }, at) => ({
      at,
      depth,
      lineCount,
      kind: isType.test(text) ? 0 : 1,
    }))
    .sort(
      (a, b) => a.depth - b.depth || a.kind - b.kind || b.lineCount - a.lineCount || a.at - b.at,
    );
  const kept = order.slice(0, max).sort((a, b) => a.at - b.at);
  const left = countOf(symbols.length - kept.length, 'more symbol');
  return [...kept.flatMap(({ at }) => landmarks[at] ?? []), { text: `and ${left}` }];
}

function outlineWith(kind: string, landmarks: readonly Landmark[]): Outline {
  const items: string[] = [];
  let chars = 0;
  let left = 0;
  for (const { line, text } of landmarks) {
    const item = clip(
      `${line === undefined ? '' : `line ${line}: `}${text.replaceAll(/\s+/g, ' ')}`,
      maxItemChars,
    );
    if (items.length >= maxItems || chars + item.length > maxChars) {
      left += 1;
      continue;
    }
    items.push(item);
    chars += item.length + 3;
  }
  if (left > 0 && landmarks.at(-1)?.text.startsWith('and ') !== true)
    items.push(`and ${left} more like these`);
  return { kind, items };
}

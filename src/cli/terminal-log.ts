import { basename } from 'node:path';
import { countOf } from '../base/numbers.ts';
import { styleText } from 'node:util';
import { shortCount } from './numbers.ts';
import { visible } from './screen.ts';

/** A record of the log as it was written: one JSON object. */
type LogRecord = Readonly<Record<string, unknown>>;

/** What lines are cut to where the terminal does not say its width, cells. */
const usualColumns = 80;

/** Below this a client's name and its project are not cut further, cells. */
const minWhoseWidth = 12;

/** Model names are cut to this, cells. */
const maxModelWidth = 20;

/** From this width on times have seconds, cells. */
const wideColumns = 100;

/** An estimate that is off by less than this says nothing, tokens. */
const minKeptOutTokens = 1000;

/** Level numbers of pino. */
const warnLevel = 40;
const errorLevel = 50;

/** Members of a record that say nothing to somebody who looks on. */
const unsaid = new Set(['level', 'time', 'msg', 'err', 'advice', 'hint', 'request', 'requestId']);

/**
 * A record of the log for somebody who watches a terminal: one line, and one more for what to do
 * about it. Times are those of the machine's clock on the wall. What it is given may hold anything;
 * what it returns holds no character that drives a terminal but colours of its own.
 * @param json As the log wrote it
 * @param columns Width of the terminal, cells
 */
export function terminalLine(json: string, columns = usualColumns): string {
  const record = JSON.parse(json) as LogRecord;
  const time = clockTime(new Date(Number(record['time'])), columns >= wideColumns);
  const line = wordsOf(record, columns - time.length - 1);
  const advice = [record['hint'], record['advice']]
    .filter((text) => typeof text === 'string')
    .map((text) => `${' '.repeat(time.length + 1)}${styleText('dim', visible(text))}\n`);
  return `${styleText('dim', time)} ${line}\n${advice.join('')}${stackOf(record)}`;
}

function wordsOf(record: LogRecord, width: number): string {
  switch (record['msg']) {
    case 'turn':
      return turnWords(record, width);
    case 'request refused':
    case 'request failed':
      return failedWords(record, width);
    case 'turn aborted: the client left':
      return `${whoseWords(record, 40)}  ${styleText('yellow', `aborted after ${secondsOf(record)}: the client left`)}`;
    default:
      return otherWords(record);
  }
}

/** `OpenCode my-app  glm-5  3 steps, 2 searches  12k sent, 1.2M kept out  8.2s` */
function turnWords(record: LogRecord, width: number): string {
  const work = [
    counted(record, 'steps', 'step'),
    counted(record, 'searches', 'search', 'searches') ?? counted(record, 'calls', 'call'),
  ];
  const keptOut =
    numberOf(record, 'estimatedPromptTokensWithout') - numberOf(record, 'largestPromptTokens');
  const sent = `${shortCount(numberOf(record, 'promptTokens'))} sent`;
  const tokens =
    keptOut < minKeptOutTokens
      ? sent
      : `${sent}, ${styleText('green', `${shortCount(keptOut)} kept out`)}`;
  const model = cutTo(modelName(textOf(record, 'model')), maxModelWidth);
  const end = [
    styleText('cyan', visible(model)),
    work.filter((words) => words !== undefined).join(', '),
    tokens,
    secondsOf(record),
  ];
  if (typeof record['limit'] === 'string') end.push(styleText('yellow', 'stopped by a limit'));
  const rest = end.join('  ');
  const room = width - plainLength(rest) - 2;
  return `${whoseWords(record, Math.max(minWhoseWidth, room))}  ${rest}`;
}

function failedWords(record: LogRecord, width: number): string {
  const isFailure = record['msg'] === 'request failed';
  const status = numberOf(record, 'status');
  const code = textOf(record, 'code') || 'internal';
  const what = `${isFailure ? 'failed' : 'refused'}: ${status === 0 ? '' : `${status} `}${code}`;
  const colour = isFailure ? 'red' : 'yellow';
  const whose = whoseWords(record, Math.max(minWhoseWidth, width - what.length - 2));
  return `${whose}  ${styleText(colour, visible(what))}`;
}

/** The client and the project's folder, as far as a request has told: `OpenCode my-app`. */
function whoseWords({ client, directory }: LogRecord, width: number): string {
  const project = typeof directory === 'string' ? basename(directory) : '';
  const name = typeof client === 'string' ? client : '';
  return visible(cutTo([name, project].filter(Boolean).join(' ') || 'a client', width));
}

/** Everything else: its message, and its members by name. */
function otherWords(record: LogRecord): string {
  const level = numberOf(record, 'level');
  const words = visible(textOf(record, 'msg'));
  const said =
    level >= errorLevel
      ? styleText('red', words)
      : level >= warnLevel
        ? styleText('yellow', words)
        : words;
  const members = Object.entries(record)
    .filter(([name, value]) => !unsaid.has(name) && value !== undefined)
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return members.length === 0 ? said : `${said}  ${styleText('dim', visible(members.join(', ')))}`;
}

/** Where a bug is. */
function stackOf({ err }: LogRecord): string {
  if (typeof err !== 'object' || err === null) return '';
  const { stack, message } = err as { readonly stack?: unknown; readonly message?: unknown };
  const text = typeof stack === 'string' ? stack : typeof message === 'string' ? message : '';
  return text === '' ? '' : `${visible(text)}\n`;
}

function counted(
  record: LogRecord,
  member: string,
  ...noun: readonly [one: string, many?: string]
): string | undefined {
  const count = numberOf(record, member);
  return count === 0 ? undefined : countOf(count, ...noun);
}

function secondsOf(record: LogRecord): string {
  return `${(numberOf(record, 'ms') / 1000).toFixed(1)}s`;
}

function numberOf(record: LogRecord, member: string): number {
  const value = record[member];
  return typeof value === 'number' ? value : 0;
}

function textOf(record: LogRecord, member: string): string {
  const value = record[member];
  return typeof value === 'string' ? value : '';
}

/** A model without its provider and its maker: `together.zai-org/glm-4.6` is `glm-4.6`. */
function modelName(model: string): string {
  const name = model.slice(model.indexOf('.') + 1);
  return name.slice(name.lastIndexOf('/') + 1);
}

function cutTo(text: string, width: number): string {
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`;
}

function plainLength(text: string): number {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/\u001b\[\d+m/g, '').length;
}

function clockTime(time: Date, hasSeconds: boolean): string {
  const parts = [time.getHours(), time.getMinutes(), ...(hasSeconds ? [time.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

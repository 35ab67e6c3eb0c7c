import type { BenchQuestion } from '../../cases.ts';
import type { Random } from '../../../random.ts';
import { count, exactQuestion, pairForm, pairOf, pairsOf } from './real-question.ts';
import { ranked, setQuestion, thresholdFor, ties, verbatimQuestion } from './real-question.ts';
import type { RealText } from './real-texts.ts';

/** Pairs are asked for among so many, those who wrote the most. */
const topSenders = 40;

/** So many look-alikes are asked for by their number, and so many there are of each at least. */
const ordinals = { asked: 8, least: 8 };

/** What the head of a mail says. */
interface Mail {
  readonly path: string;
  /** The folder says it. */
  readonly isSpam: boolean;
  /** In lower case. */
  readonly sender: string;
  /** As in `Aug 2002`; empty where the date is written otherwise. */
  readonly month: string;
  /** The subject without what answers put in front. */
  readonly thread: string;
}

/** Questions about mails: counts, look-alikes by their number, pairs by joined conditions. */
export function mailQuestions(
  texts: readonly RealText[],
  random: Random,
): readonly BenchQuestion[] {
  if (texts.length === 0) return [];
  const mails = texts.map(({ path, read }) => mailOf(path, read()));
  return [
    ...countQuestions(mails, random),
    ...pairQuestions(mails),
    ...ordinalQuestions(mails, texts, random),
  ];
}

/** The first line of each kind counts: what stands further down are mails inside the mail. */
function mailOf(path: string, text: string): Mail {
  const lines = text.split('\n');
  const first = (name: string): string =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? '';
  return {
    path,
    isSpam: path.startsWith('mails/spam-'),
    sender: /[\w.+=-]+@[\w.-]+/.exec(first('From'))?.[0].toLowerCase() ?? '',
    month: /\d (\w{3} \d{4})/.exec(first('Date'))?.[1] ?? '',
    thread: first('Subject')
      .replace(/^(?:re: *)+/i, '')
      .trim(),
  };
}

/** How questions say where something is read. */
const senderRule =
  'The sender of a mail is the first address in its first line that begins with "From: ", in lower case.';
const monthRule = 'Its month stands behind the day in its first line that begins with "Date: ".';
const threadRule =
  'Its thread is the text of its first line that begins with "Subject: ", without any "Re: " in front, in any case.';

function countQuestions(mails: readonly Mail[], random: Random): readonly BenchQuestion[] {
  const senders = new Map<string, number>();
  const months = new Map<string, number>();
  const domains = new Map<string, Set<string>>();
  for (const { sender, month, isSpam } of mails) {
    if (sender !== '') {
      count(senders, sender);
      const domain = sender.slice(sender.indexOf('@') + 1);
      domains.set(domain, (domains.get(domain) ?? new Set()).add(sender));
    }
    if (isSpam && month !== '') count(months, month);
  }
  const [sender = ''] = ranked(senders);
  const month = random.pick(ranked(months).slice(0, 5));
  const spam = months.get(month) ?? 0;
  const domain = random.pick(
    ranked(new Map([...domains].map(([name, own]) => [name, own.size]))).slice(0, 10),
  );
  const addresses = domains.get(domain)?.size ?? 0;
  return [
    exactQuestion(
      'mail-sender',
      `${senderRule} Which sender wrote the most of the mails? ${ties}`,
      sender,
    ),
    exactQuestion(
      'mail-spam',
      `${monthRule} How many of the mails in the folders spam-1 and spam-2 are of ${month}? Give the number.`,
      String(spam),
    ),
    exactQuestion(
      'mail-domain',
      `${senderRule} How many different senders have an address at ${domain}? Give the number.`,
      String(addresses),
    ),
  ];
}

function pairQuestions(mails: readonly Mail[]): readonly BenchQuestion[] {
  const senders = new Map<string, number>();
  for (const { sender } of mails) if (sender !== '') count(senders, sender);
  const names = ranked(senders).slice(0, topSenders);
  const own = new Map(names.map((name) => [name, mails.filter(({ sender }) => sender === name)]));
  const valuesOf = (name: string, key: (mail: Mail) => string): ReadonlySet<string> =>
    new Set((own.get(name) ?? []).map(key).filter((value) => value !== ''));
  const threads = new Map(names.map((name) => [name, valuesOf(name, ({ thread }) => thread)]));
  const shared = pairsOf(names).map(([first, second]) => ({
    pair: pairOf(first, second),
    count: [...(threads.get(first) ?? [])].filter((one) => threads.get(second)?.has(one)).length,
  }));
  const leastShared = thresholdFor(
    shared.map((one) => one.count),
    topSenders,
  );
  const [month = ''] = ranked(
    mails.reduce((counts, one) => {
      if (one.month !== '') count(counts, one.month);
      return counts;
    }, new Map<string, number>()),
  );
  const inMonth = (name: string): number =>
    (own.get(name) ?? []).filter((mail) => mail.month === month).length;
  const threadCount = (name: string): number => threads.get(name)?.size ?? 0;
  const leastInMonth = thresholdFor(names.map(inMonth), Math.ceil(names.length / 4));
  const leastThreads = thresholdFor(names.map(threadCount), Math.ceil(names.length / 2));
  const wide = names.filter((name) => threadCount(name) >= leastThreads);
  // Both wide, and exactly one of them busy in that month.
  const joined = pairsOf(wide).filter(
    ([first, second]) => inMonth(first) >= leastInMonth !== inMonth(second) >= leastInMonth,
  );
  const theSenders = `Take the ${topSenders} senders with the most mails (of several with the same count the first by name).`;
  return [
    setQuestion(
      'mail-pairs',
      `${senderRule} ${threadRule} ${theSenders} Which pairs of them have both written in at least ${leastShared} of the same threads? ${pairForm}`,
      shared.filter((one) => one.count >= leastShared).map(({ pair }) => pair),
    ),
    setQuestion(
      'mail-pairs-joined',
      `${senderRule} ${monthRule} ${threadRule} ${theSenders} Which pairs of them are such that both have written in at least ${leastThreads} threads, and exactly one of the two has written at least ${leastInMonth} mails in ${month}? ${pairForm}`,
      joined.map(([first, second]) => pairOf(first, second)),
    ),
  ];
}

/** Mails of one sender, asked for by their number in the order of their paths. */
function ordinalQuestions(
  mails: readonly Mail[],
  texts: readonly RealText[],
  random: Random,
): readonly BenchQuestion[] {
  const known = mails.filter(({ sender }) => sender !== '');
  const many = [...Map.groupBy(known, ({ sender }) => sender)]
    .filter(([, own]) => own.length >= ordinals.least)
    .toSorted(([, a], [, b]) => b.length - a.length);
  // The sender with the most look-alikes is always among them.
  const chosen = [...many.slice(0, 1), ...random.sample(many.slice(1), ordinals.asked - 1)];
  return chosen.flatMap(([sender, own], at) => {
    const paths = own.map(({ path }) => path).toSorted();
    const number = random.between(1, paths.length);
    const text = texts.find(({ path }) => path === paths[number - 1])?.read() ?? '';
    const border = text.indexOf('\n\n');
    const body = text.slice(border + 2);
    if (border < 0 || body.trim() === '') return [];
    return [
      verbatimQuestion(
        `mail-ordinal-${at + 1}`,
        `${senderRule} ${sender} has sent ${paths.length} of the mails. What does mail number ${number} of these say, in the order of their paths? It is all that stands behind its first empty line.`,
        { expected: body, random },
      ),
    ];
  });
}

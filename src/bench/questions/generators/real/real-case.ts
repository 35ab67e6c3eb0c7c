import type { BenchCase, CaseGenerator } from '../../cases.ts';
import { Random } from '../../../random.ts';
import { absenceQuestions } from './absent-questions.ts';
import { changelogQuestions } from './changelog-questions.ts';
import { mailQuestions } from './mail-questions.ts';
import { packageQuestions } from './package-questions.ts';
import {
  changelogsIn,
  documentOf,
  machineFolders,
  mailsIn,
  packageIndex,
  saidOf,
  sourcesIn,
  type RealFolders,
} from './real-texts.ts';
import { sourceQuestions } from './source-questions.ts';

/** So much of a case are changelogs and mails, as far as there are some; the rest is sources. */
const shares = { changelogs: 0.45, mails: 0.25 };

/** Cases that have been made: reading a machine's texts takes seconds, and all ask for the same. */
const made = new Map<string, BenchCase>();

/**
 * Cases over texts that people wrote, as far as this machine has them: the changelogs of the
 * packages installed on a Debian machine (some 140M characters on a developer's) and the package
 * index as a graph, mails, installed sources. The same machine gives the same case; the seed
 * chooses what is asked.
 */
export const generateReal: CaseGenerator = (seed, sizeChars) => {
  const key = `${seed} ${sizeChars}`;
  const known = made.get(key) ?? realCase(machineFolders(), seed, sizeChars);
  made.set(key, known);
  return known;
};

/**
 * The same over other folders. Of what is missing the case says so, and asks nothing about it.
 *
 * @throws Error where there is nothing at all
 */
export function realCase(folders: RealFolders, seed: number, sizeChars: number): BenchCase {
  const random = new Random(seed, 7);
  const changelogs = changelogsIn(folders.docs, sizeChars * shares.changelogs);
  const mails = mailsIn(folders.mails, sizeChars * shares.mails);
  const taken = [...changelogs, ...mails].reduce((sum, { lengthChars }) => sum + lengthChars, 0);
  const sources = sourcesIn(folders.trees, sizeChars - taken);
  const index = packageIndex(folders, sizeChars);
  const texts = { changelogs, mails, sources };
  const said = saidOf(folders, texts, index);
  const documents = [...changelogs, ...mails, ...sources].map(documentOf);
  if (documents.length === 0)
    throw new Error(`bench real finds no texts on this machine. ${said.join(' ')}`);
  const indexed = index === '' ? [] : [{ path: 'dpkg/status', chunks: () => [index] }];
  const questions = [
    ...changelogQuestions(changelogs, random),
    ...packageQuestions(index, random),
    ...mailQuestions(mails, random),
    ...sourceQuestions(sources, random),
    ...absenceQuestions(texts, random),
  ];
  return {
    documents: [...documents, ...indexed],
    // Of few texts there may be no pair, no look-alike: what has no answer is not asked.
    questions: questions.filter(({ expected }) => expected !== ''),
    said,
  };
}

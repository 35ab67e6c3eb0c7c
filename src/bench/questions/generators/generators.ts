import type { BenchKind, CaseGenerator } from '../cases.ts';
import { generateAggregate } from './aggregate.ts';
import { generateCodeqa } from './codeqa.ts';
import { generateHops } from './hops.ts';
import { generateNiah } from './niah.ts';
import { generatePairs } from './pairs.ts';
import { generateReal } from './real/real-case.ts';
import { generateRecall } from './recall.ts';

/** Who makes the cases of each benchmark. */
export const generators: Readonly<Record<BenchKind, CaseGenerator>> = {
  niah: generateNiah,
  aggregate: generateAggregate,
  pairs: generatePairs,
  hops: generateHops,
  codeqa: generateCodeqa,
  recall: generateRecall,
  real: generateReal,
};

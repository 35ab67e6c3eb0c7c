export { countText, countedChars, nextNewline, lineStartBefore } from './text';
export { scanLines, scanLinesTwice, at1, at2, state1, state2, hits1, hits2 } from './dfa';
export { literalLines, literalAt, literalHits, candidates } from './literals';
export { blockGrams, transposeBitmaps } from './grams';
export { scanBits, bitHits } from './bits';

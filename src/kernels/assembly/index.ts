export { countText, countedChars, nextNewline, lineStartBefore } from './text';
export { scanLines, scanLinesFourfold, walkAt, walkState, walkHits } from './dfa';
export { literalLines, literalAt, literalHits, candidates } from './literals';
export { blockGrams, transposeBitmaps } from './grams';
export { scanBits, bitHits } from './bits';
export { stringEnd, stringCut } from './json';

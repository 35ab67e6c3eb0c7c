export { countText, countedChars, nextNewline, lineStartBefore } from './text';

import { hash } from 'node:crypto';

/** Longest name of a function that every provider takes. */
const maxNameChars = 64;

/**
 * A tool's name as it goes upstream: a longer one than all providers take is cut, and told apart by
 * its hash. Pure: a call in the history has the same name as the tool had when it was offered.
 */
export function fittingName(name: string): string {
  if (name.length <= maxNameChars) return name;
  const mark = hash('sha256', name).slice(0, 8);
  return `${name.slice(0, maxNameChars - mark.length - 1)}_${mark}`;
}

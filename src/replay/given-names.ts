/** As members of protocols are named; a path, an address or a hash is no such name. */
const memberName = /^[A-Za-z_$][\w$.-]{0,63}$/;

/** Whether a member of an object is named by somebody, and not by a protocol. Pure. */
export function isNameOfSomebody(name: string): boolean {
  return !memberName.test(name);
}

/** Members whose objects have names that somebody has given, however deep. */
export const holdsGivenNames: ReadonlySet<string> = new Set([
  'parameters',
  'input_schema',
  'schema',
  'input',
  'arguments',
  'metadata',
  'client_metadata',
]);

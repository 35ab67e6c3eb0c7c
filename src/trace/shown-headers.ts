/**
 * Names of headers that say who somebody is. The names stay: that a key was sent may be what one
 * looks for.
 */
const credential = /auth|cookie|token|secret|passw|signature|api-?key|(^|-)key$/;

/**
 * Headers as they may be written down: of those that hold credentials only the names.
 * @param headers Lower-case names
 */
export function shownHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string | readonly string[]> {
  const shown: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) shown[name] = credential.test(name) ? '[removed]' : value;
  return shown;
}

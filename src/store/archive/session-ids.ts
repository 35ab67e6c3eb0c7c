/**
 * The same JSON value with other session ids: whatever string in it is one of them, and nothing
 * else. Pure.
 */
export function replaceIds<T>(value: T, ids: ReadonlyMap<string, string>): T {
  if (typeof value === 'string') return (ids.get(value) ?? value) as T;
  if (Array.isArray(value)) return value.map((each: unknown) => replaceIds(each, ids)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, each]) => [name, replaceIds(each, ids)]);
  return Object.fromEntries(members) as T;
}

/** A name of the directory map with other session ids in it, as in `key:branch-sess_…`. Pure. */
export function replaceIdsIn(name: string, ids: ReadonlyMap<string, string>): string {
  return name.replaceAll(/sess_[0-9a-f]{8,32}/g, (id) => ids.get(id) ?? id);
}

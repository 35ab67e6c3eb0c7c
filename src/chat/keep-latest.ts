/** Puts a value into a map as its newest, and drops the oldest one when there are more than `maxCount`. */
export function keepLatest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  maxCount: number,
): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > maxCount) map.delete(map.keys().next().value as Key);
}

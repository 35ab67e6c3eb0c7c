/**
 * Text number `index` (from 0) of the crash tests: all different, from empty lines to some
 * megabytes.
 */
export function crashText(index: number): string {
  const unit = ['log line\n', 'né 日本 🙂 ', '{"json": true}\r\n', 'x'][index % 4]!;
  const count = index % 17 === 16 ? 200_000 : (index * 7919) % 3000;
  return `${index} ${unit.repeat(count)}`;
}

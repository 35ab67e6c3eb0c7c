/**
 * How rare each byte is: -log2 of its share, in base 36, measured over 112 MB of source code,
 * documents, logs and Chinese prose. Only the choice of what to look for first depends on it.
 */
const shares =
  'kkkkkkkkk85kkgkkkkkkkkkkkkkkkkkk3a6baaa8778b7867888888888877a799' +
  'a9a8989ab8aa89898b8889abdca9b9e89576647765a866556955467887a8a8gk' +
  '8aabbbgaag9a99aaaccaabaabebhabb9aa9aa9afabfghaaaabaggbb99bb99afa' +
  'kkgfghkkkkikkikfhdfkkkgifffigkkkkdeaa987999iiikkaakkkkkkkkkkkkkk';

const rarity = Uint8Array.from(shares, (digit) => Number.parseInt(digit, 36));

/**
 * -log2 of the share of a byte in text, 3 to 20. In any letter case, an ASCII letter is as common
 * as both its cases.
 */
export function byteRarity(byte: number, anyCase: boolean): number {
  const own = rarity[byte]!;
  return anyCase && byte >= 97 && byte <= 122 ? Math.min(own, rarity[byte - 32]!) : own;
}

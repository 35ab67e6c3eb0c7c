/**
 * Gives back the memory of bytes that lie in a buffer of their own, at once; whatever points into
 * it is empty afterwards. Bytes that share their buffer with others stay.
 */
export function freeBytes({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

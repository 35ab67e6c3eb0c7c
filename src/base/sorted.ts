/**
 * Binary search: how many of the first `count` places satisfy `holds`, which is true up to some
 * place and false from there on (what C++ and Rust call the partition point). The last place that
 * satisfies it is one less.
 */
export function partitionPoint(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { partitionPoint } from './sorted.ts';

test('the partition point is what counting says, and only places below the count are asked for', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), fc.nat(60), (values, limit) => {
      const sorted = values.toSorted((a, b) => a - b);
      const found = partitionPoint(sorted.length, (index) => {
        expect(index).toBeLessThan(sorted.length);
        return sorted[index]! <= limit;
      });
      expect(found).toBe(sorted.filter((value) => value <= limit).length);
    }),
  );
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventBuffer } from "./event-buffer.ts";

type Step = { readonly add: number } | { readonly take: number; readonly putBack: boolean };

describe("EventBuffer", () => {
  it("behaves as a list whose first elements go when it is too long", () => {
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 2_000 }) }),
      fc.record({ take: fc.integer({ min: 0, max: 3_000 }), putBack: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.integer({ min: 1, max: 3_000 }), (steps, capacity) => {
        const dropped: number[] = [];
        const buffer = new EventBuffer<number>(capacity, (element) => void dropped.push(element));
        let model: number[] = [];
        const expected: number[] = [];
        let next = 0;
        for (const one of steps) {
          if ("add" in one) {
            for (let count = 0; count < one.add; count++) {
              model.push(next);
              buffer.add(next++);
            }
          } else {
            const taken = buffer.take(one.take);
            expect(taken).toEqual(model.slice(0, one.take));
            if (one.putBack) buffer.putBack(taken);
            else model = model.slice(one.take);
          }
          while (model.length > capacity) expected.push(model.shift()!);
          expect(buffer.size).toBe(model.length);
        }
        expect(buffer.dropped).toBe(expected.length);
        buffer.dropAll();
        expect(dropped).toEqual([...expected, ...model]);
      }),
      { numRuns: 50 },
    );
  });
});

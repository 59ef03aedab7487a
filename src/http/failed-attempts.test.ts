import { describe, expect, it } from "vitest";
import { FailedAttempts } from "./failed-attempts.ts";

function attemptsAt() {
  const clock = { ms: 0 };
  return { clock, attempts: new FailedAttempts(() => clock.ms) };
}

describe("FailedAttempts", () => {
  it("tells the first ten of a minute, limits those after, and begins anew", () => {
    const { clock, attempts } = attemptsAt();
    for (let count = 0; count < 10; count++) expect(attempts.note("a", "t")).toEqual({ kind: "told" });
    clock.ms = 20_500;
    expect(attempts.note("a", "t")).toEqual({ kind: "limited", retryAfterSeconds: 40 });
    expect(attempts.note("b", "t")).toEqual({ kind: "told" });
    clock.ms = 60_000;
    expect(attempts.note("a", "t")).toEqual({ kind: "told" });
  });

  it("shuts out who tries ten different tokens, and not who repeats an old one", () => {
    const { clock, attempts } = attemptsAt();
    for (let count = 0; count < 1_000; count++) attempts.note("stale", "old");
    for (let count = 0; count < 9; count++) attempts.note("guesser", `t${count}`);
    expect([attempts.shutOutSeconds("stale"), attempts.shutOutSeconds("guesser")]).toEqual([undefined, undefined]);
    attempts.note("guesser", "t9");
    expect([attempts.shutOutSeconds("stale"), attempts.shutOutSeconds("guesser")]).toEqual([undefined, 60]);
    clock.ms = 60_000;
    expect(attempts.shutOutSeconds("guesser")).toBeUndefined();
  });

  it("remembers the newest thousand addresses", () => {
    const { attempts } = attemptsAt();
    for (let count = 0; count < 10; count++) attempts.note("first", `t${count}`);
    for (let count = 0; count < 999; count++) attempts.note(`address ${count}`, "t");
    expect(attempts.shutOutSeconds("first")).toBe(60);
    attempts.note("one more", "t");
    expect(attempts.shutOutSeconds("first")).toBeUndefined();
  });
});

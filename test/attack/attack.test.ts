/**
 * The attack suite: tenant isolation as a table of cases. What is attacked is read from the catalog; a relation or a
 * function that no attack knows, or that is not in the table of access, fails the suite.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openArena } from "./arena.ts";
import { readCatalog } from "./catalog.ts";
import { changeCases } from "./changes.ts";
import { GRANT_CASES } from "./grants.ts";
import { libraryCases, libraryWriteCases } from "./library.ts";
import { type AttackCase, functionCases, relationCases } from "./matrix.ts";
import { functionProbes, viewProbes } from "./probes.ts";
import { expectNoLeak, Visits } from "./transcript.ts";
import { sessionTenantCases, trickCases } from "./tricks.ts";
import { VISITORS, type Visitor } from "./visitors.ts";

/** Fewer would mean that a part of the table was lost. */
const LEAST_CASES = 9_000;

const arena = await openArena();
const catalog = await readCatalog(arena.database);
const visits = new Visits(arena);
let planned = 0;
let ran = 0;

afterAll(async () => {
  console.log(`The attack suite ran ${ran} of ${planned} cases.`);
  await visits.close();
  await arena.close();
});

function attacks(title: string, cases: readonly AttackCase[]): void {
  planned += cases.length;
  describe(title, () => {
    it.each(cases)("$name", async (one) => {
      ran++;
      await one.run(arena, visits);
    });
  });
}

describe("the suite", () => {
  it("has its cases", () => {
    expect(planned).toBeGreaterThan(LEAST_CASES);
    expect(catalog.functions.length).toBeGreaterThan(60);
    expect(Object.keys(catalog.views).length).toBeGreaterThan(8);
  });

  it.each([
    ["rows", "select * from store.bars_series"],
    ["numbers", "select close_price from store.bars_data"],
    ["times", "select ts from store.bars_data"],
    ["dates", "select expiry from store.options_series"],
    ["names of tenants", "select name from store.tenants"],
    ["ids of tenants", "select id from store.tenants"],
    ["copied bytes", "copy (select title from store.news_data) to stdout"],
    ["an error's message", "select vendor::int4 from store.bars_series where vendor like 'b%'"],
    ["an error's detail", "insert into store.tenants (slug, name) values ('bravo-ten', 'x')"],
    ["a notice", "do $$ begin raise notice '%', (select min(title) from store.news_data where title > 'b'); end $$"],
    ["a plan", "explain (verbose) select 'BASALT'"],
  ])("sees a leak in %s", async (_, statement) => {
    const superuser: Visitor = { name: "superuser", login: "superuser", before: () => [], tenant: "a", rights: [] };
    const transcript = await visits.run(superuser, [statement]);
    expect(() => expectNoLeak(transcript, arena, superuser)).toThrow(
      /^superuser saw .*(basalt|227222|2122-02-22|bravo-ten|[0-9a-f]{8}-)/,
    );
  });
});

beforeAll(() => {
  expect(VISITORS.length).toBeGreaterThan(20);
});

const tellers = VISITORS.filter(({ name }) => ["bound to a", "application for a"].includes(name));
attacks("grants", GRANT_CASES);
attacks("relations", relationCases(VISITORS, catalog));
attacks("probes of views", await viewProbes(arena, tellers, catalog));
attacks("probes of functions", await functionProbes(arena, tellers, catalog));
attacks("tricks", [...trickCases(), ...sessionTenantCases()]);
attacks("library", libraryCases());
attacks("functions", functionCases(VISITORS, catalog));
attacks("changes", changeCases());
attacks("writes of the library", libraryWriteCases());
// Once more, after all of these.
attacks("grants at the end", GRANT_CASES);

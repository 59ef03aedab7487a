import { afterAll, describe, it } from "vitest";
import { openArena } from "./arena.ts";
import { readCatalog } from "./catalog.ts";
import { type AttackCase, functionCases, relationCases } from "./matrix.ts";
import { functionProbes, viewProbes } from "./probes.ts";
import { Visits } from "./transcript.ts";
import { VISITORS } from "./visitors.ts";

const arena = await openArena();
const catalog = await readCatalog(arena.database);
const visits = new Visits(arena);
let ran = 0;

afterAll(async () => {
  console.log(`The attack suite ran ${ran} cases.`);
  await visits.close();
  await arena.close();
});

function attacks(title: string, cases: readonly AttackCase[]): void {
  describe(title, () => {
    it.each(cases)("$name", async (one) => {
      ran++;
      await one.run(arena, visits);
    });
  });
}

attacks("relations", relationCases(VISITORS, catalog));
const probing = VISITORS.filter(({ name }) => ["bound to a", "application for a"].includes(name));
attacks("probes of views", await viewProbes(arena, probing, catalog));
attacks("probes of functions", await functionProbes(arena, probing, catalog));
attacks("functions", functionCases(VISITORS, catalog));

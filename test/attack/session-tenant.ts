/** Questions for the tenant of a session, by a login that is bound to another one. */
import { type Arena, SLUGS } from "./arena.ts";
import type { AttackCase } from "./matrix.ts";
import { report, textOf } from "./transcript.ts";
import { VISITORS } from "./visitors.ts";

/** Asking for somebody else's tenant by any name. */
export function sessionTenantCases(): AttackCase[] {
  const visitor = VISITORS.find(({ name }) => name === "bound to a")!;
  const questions = (arena: Arena): (string | null)[] => [
    SLUGS.b,
    SLUGS.gone,
    SLUGS.empty,
    arena.ids.b,
    arena.ids.gone,
    arena.ids.empty,
    arena.ids.b.toUpperCase(),
    ` ${SLUGS.b}`,
    `${SLUGS.b}%`,
    "' or true --",
    "",
    "default",
  ];
  return Array.from({ length: 12 }, (_, at) => ({
    name: `${visitor.name} × asks for another's tenant, ${at + 1}`,
    run: async (arena, visits) => {
      const asked = questions(arena)[at]!;
      const transcript = await visits.run(visitor, [
        `select * from mds.session_tenant('${asked.replaceAll("'", "''")}')`,
      ]);
      if (textOf(transcript) !== '{"answers":[[]],"notices":[]}')
        throw new Error(report("Answered", transcript, textOf(transcript), ""));
    },
  }));
}

import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What also runs on TimescaleDB: everything in which rows are written, read, kept or dropped. */
const ON_TIMESCALE = [
  "test/attack/attack.test.ts",
  "test/acceptance/{dump,real-data}.test.ts",
  "test/integration/{aggregates,aggregates-model,aggregates-read,aggregates-jobs}.test.ts",
  "test/integration/{bars-upsert,bars-read,datasets,definitions,insert-absent,upsert-model,large-data}.test.ts",
  "test/integration/{batch-writer,coordinator,delete-tenant,files-round-trip,dump-files,runs,schema-manifest}.test.ts",
];
/** They take minutes, mostly of waiting; Vitest would begin small files last, and then wait for them alone. */
const LONG = /test\/(faults|attack|acceptance\/killed-jobs)/;
const isLong = ({ moduleId }: TestSpecification): number => Number(LONG.test(moduleId));

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => isLong(b) - isLong(a));
  }
}

const timescaleUrl = process.env["TEST_TIMESCALE_URL"];

const limits = { testTimeout: 60_000, hookTimeout: 60_000 };
const globalSetup = ["test/support/global-setup.ts"];

export default defineConfig({
  test: {
    ...limits,
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    projects: [
      {
        test: {
          ...limits,
          name: "plain",
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          // Without a server these say that they are skipped.
          exclude: timescaleUrl === undefined ? [] : ["test/timescale/**"],
          globalSetup,
          provide: { engine: "plain" },
        },
      },
      ...(timescaleUrl === undefined
        ? []
        : [
            {
              test: {
                ...limits,
                name: "timescale",
                include: ["test/timescale/*.test.ts", ...ON_TIMESCALE],
                globalSetup,
                provide: { engine: "timescale" as const },
              },
            },
          ]),
    ],
  },
});

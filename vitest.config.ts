import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What also runs on TimescaleDB: everything in which rows are written, read, kept or dropped. */
const ON_TIMESCALE = [
  "test/attack/attack.test.ts",
  "test/acceptance/{administration,control-access,control-backfills,control-plane,datasets,doctor,drift,dump}.test.ts",
  "test/acceptance/{http-ingest,ingest,ingest-via-coordinator,jobs,job-queue,killed-jobs,policies,pulse}.test.ts",
  "test/acceptance/{query,real-data,serve,tenant-bind,tenant-delete}.test.ts",
  "test/integration/{admin-api,aggregates,aggregates-jobs,aggregates-model,aggregates-policies,aggregates-read}.test.ts",
  "test/integration/{bars-upsert,bars-read,datasets,definitions,insert-absent,upsert-model,large-data}.test.ts",
  "test/integration/{batch-writer,control-client,coordinator,delete-tenant,doctor,dump-files,files-round-trip}.test.ts",
  "test/integration/{ingest-files-job,job-faults,jobs,maintenance-jobs,migrations,policies,runs,runs-lists}.test.ts",
  "test/integration/{runs-tenancy,schema-manifest,service,service-database,tenancy,upsert-plans}.test.ts",
  "test/{acceptance,integration}/{read-arrow,trusted-load,verify-coverage-job}.test.ts",
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

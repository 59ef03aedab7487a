/** A result of the benchmark, made up. */
import type { BenchReport } from "../../src/bench/run-bench.ts";

export function benchReport(parts: Partial<BenchReport> = {}): BenchReport {
  return {
    measured_at: "2026-03-04T05:06:07.000Z",
    version: "1.2.3",
    rows: 1_000,
    machine: { cpu: "Acme (R) 9", cores: 2, memory_gib: 24, system: "Linux 6", node: "24.0.0", load_average: 0.5 },
    database: { version: "18.4", kind: "embedded", settings: { fsync: "on" } },
    scenarios: {
      latest: {
        title: "latest prices",
        figures: [{ read: "mine", warm_ms: 12.345 }],
        targets: [
          { text: "faster than sound: yes", met: true },
          { text: "faster than light: no", met: false },
        ],
        notes: ["Once."],
      },
    },
    ...parts,
  };
}

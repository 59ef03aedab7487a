/** Upserts of the other datasets beside a binary COPY of the same rows, as the server gave them, into the same table. */
import type { UpsertResult } from "../../client/upsert.ts";
import { collectCopy, copyIn } from "../../database/copy-stream.ts";
import type { Connection } from "../../database/pool.ts";
import type { DatasetName } from "../../datasets/registry.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { generateFundamentals, generateNews, generateOptions, generateSignals } from "../generate-datasets.ts";
import { type BenchContext, type Figure, REPETITIONS, type Scenario, withBenchStore } from "../scenario.ts";
import { rateFigure, takeTurns } from "../turns.ts";

/** Their rows are larger than bars: a tenth of them says as much. */
const SHARE = 10;

/** A dataset's rows, made before, and how they are written. */
interface Load {
  readonly name: DatasetName;
  readonly rows: number;
  readonly upsert: () => Promise<UpsertResult>;
}

export const datasets: Scenario = {
  name: "datasets",
  title: "upserts of options, fundamentals, news and signals, and COPY of the same rows by the owner",
  async run(context) {
    const figures = await withBenchStore(context, async (store) => {
      const count = Math.max(1_000, Math.round(context.rows / SHARE));
      const { signal } = context;
      const options = [...generateOptions(count)];
      const fundamentals = [...generateFundamentals(count)];
      const news = [...generateNews(count)];
      const signals = [...generateSignals(count)];
      const loads: Load[] = [
        { name: "options", rows: count, upsert: () => store.options.upsert(options, { signal }) },
        { name: "fundamentals", rows: count, upsert: () => store.fundamentals.upsert(fundamentals, { signal }) },
        { name: "news", rows: count, upsert: () => store.news.upsert(news, { signal }) },
        { name: "signals", rows: count, upsert: () => store.signals.upsert(signals, { signal }) },
      ];
      const all: Figure[] = [];
      for (const load of loads) all.push(...(await measureDataset(context, load)));
      return all;
    });
    return { figures, targets: [], notes: [] };
  },
};

async function measureDataset({ database: { owner }, signal }: BenchContext, load: Load): Promise<Figure[]> {
  const table = `store.${load.name}_data`;
  await load.upsert(); // makes series and partitions
  const encoded = await collectCopy(owner, `copy (select * from ${table}) to stdout (format binary)`);
  const fresh = {
    rows: load.rows,
    application: CLIENT_APPLICATION,
    prepare: () => empty(owner, table),
    run: load.upsert,
  };
  const taken = await takeTurns(owner, signal, REPETITIONS, {
    copy: {
      ...fresh,
      application: OWNER_APPLICATION,
      run: () => copyIn(owner, `copy ${table} from stdin (format binary)`, encoded, signal),
    },
    fresh,
    replayed: { ...fresh, prepare: () => owner.query(`vacuum analyze ${table}`) },
  });
  return Object.entries(taken).map(([variant, one]) => ({
    dataset: load.name,
    variant,
    ...rateFigure(one, taken.copy),
  }));
}

async function empty(owner: Connection, table: string): Promise<void> {
  await owner.query(`truncate ${table}`);
  await owner.query(`vacuum analyze ${table}`);
}

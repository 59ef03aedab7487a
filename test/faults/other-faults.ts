/** Faults of rows, of those who administer, of the clock and of those who listen; and stops at a bad time. */
import { setTimeout as wait } from "node:timers/promises";
import { deleteTenant } from "../../src/database/delete-tenant.ts";
import { openPool } from "../../src/database/pool.ts";
import { type FaultKind, soon } from "./fault-kind.ts";

const badRows: FaultKind = {
  name: "many bad rows",
  inMemoryToo: true,
  load: { poison: 0.3 },
  run: (_laboratory, random) => soon(random, 150),
};

const tenantDeleted: FaultKind = {
  name: "tenant deleted",
  run: async (laboratory, random) => {
    const slug = `gone-${laboratory.tenants.length}`;
    const [made] = await laboratory.sql<{ id: string }>("select mds.create_tenant($1, $1)::text as id", [slug]);
    const place = laboratory.tenants.push(made!.id) - 1;
    await laboratory.produce(random, { writeFor: [0, place] });
    await soon(random, 60);
    const pool = openPool({
      url: laboratory.cluster.url,
      applicationName: "laboratory",
      maxConnections: 1,
      connectTimeoutMs: 5_000,
    });
    await deleteTenant({ pool, timeoutMs: 10_000 }, slug);
    await pool.end();
    laboratory.readOracle();
    laboratory.ledger.wipe({
      isOf: ([, tenant]) => tenant === place,
      upTo: laboratory.ledger.lastNumber,
      isForGood: true,
    });
    await laboratory.produce(random, { writeFor: [1, place], rows: 200 });
  },
};

const seriesGone: FaultKind = {
  name: "series deleted",
  run: async (laboratory, random) => {
    const place = laboratory.nextSeries();
    await laboratory.produce(random, { series: place });
    await soon(random, 60);
    for (const name of ["bars", "signals", "options", "fundamentals"]) {
      const session = await laboratory.session();
      await session.query("begin");
      // Waits for those who have seen the series.
      await session.query(`lock table store.${name}_series in access exclusive mode`);
      await session.query(
        `delete from store.${name}_data where series_id in (select series_id from store.${name}_series where symbol = $1)`,
        [`S${place}`],
      );
      await session.query(`delete from store.${name}_series where symbol = $1`, [`S${place}`]);
      await session.query("commit");
      await session.end();
    }
    laboratory.readOracle();
    laboratory.ledger.wipe({
      isOf: ([, , series]) => series === place,
      upTo: laboratory.ledger.lastNumber,
      isForGood: false,
    });
    await laboratory.produce(random, { series: place, rows: 200 });
  },
};

const slowWebhook: FaultKind = {
  name: "webhook slow, failing, hanging",
  inMemoryToo: true,
  life: (laboratory) => ({ webhook: laboratory.webhook.url, batchRows: 5 }),
  run: async (laboratory, random) => {
    laboratory.proxy.cut();
    await soon(random, 100);
    laboratory.proxy.heal();
  },
};

const DAY_MS = 86_400_000;

const clockJumps: FaultKind = {
  name: "clock jumps",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    for (let jump = 0; jump < 4; jump++) {
      await soon(random, 40);
      const jumpMs = random.pick([-1, 1]) * random.pick([1_000, DAY_MS, 400 * DAY_MS, 1e15]);
      await laboratory.producer.send({ do: "clock", jumpMs });
    }
    if (random.chance(0.5)) await laboratory.kill();
  },
};

const stopWhileOpen: FaultKind = {
  name: "stop while the breaker is open",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    laboratory.proxy.cut();
    for (let turn = 0; turn < 100; turn++) {
      const answer = await laboratory.producer.send({ do: "health" });
      if (answer?.circuit !== "closed") break;
      await wait(10);
    }
    const violations = await laboratory.stopLife({ timeoutMs: random.whole(0, 200) });
    laboratory.proxy.heal();
    return violations;
  },
};

const drainTimeout: FaultKind = {
  name: "drain that times out",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 60);
    const options = random.chance(0.2) ? { drain: false } : { timeoutMs: random.whole(0, 100) };
    return laboratory.withTablesLocked(() => laboratory.stopLife(options));
  },
};

/** All others. */
export const OTHER_FAULTS: readonly FaultKind[] = [
  badRows,
  tenantDeleted,
  seriesGone,
  slowWebhook,
  clockJumps,
  stopWhileOpen,
  drainTimeout,
];

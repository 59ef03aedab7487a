/**
 * The faults. Each is put into a laboratory whose producer is submitting rows; it mends what it broke, but not the
 * process: that one may be dead or stopped afterwards. What it returns it found wrong itself.
 */
import { setTimeout as wait } from "node:timers/promises";
import { deleteTenant } from "../../src/database/delete-tenant.ts";
import { openPool } from "../../src/database/pool.ts";
import type { SeededRandom } from "../simulation/seeded-random.ts";
import { type CrashPlan, OPERATIONS } from "./crash-points.ts";
import { type Laboratory, LOGIN } from "./laboratory.ts";
import type { Violation } from "./ledger.ts";
import type { Life, Load } from "./producer-messages.ts";

export interface FaultKind {
  readonly name: string;
  /** What the coordinator must be opened with. */
  readonly life?: (laboratory: Laboratory, random: SeededRandom) => Partial<Life>;
  /** Whether a coordinator without a spool promises to survive it. */
  readonly inMemoryToo?: boolean;
  readonly needsSmallDisk?: boolean;
  /** What is special about the rows. */
  readonly load?: Partial<Load>;
  readonly run: (laboratory: Laboratory, random: SeededRandom) => Promise<readonly Violation[]> | Promise<void>;
}

const soon = (random: SeededRandom, most: number): Promise<void> => wait(random.whole(0, most));

function crashPlan(random: SeededRandom, what: CrashPlan["what"], most: number): CrashPlan {
  const operation = random.pick(
    what === "fail" ? (["write", "datasync", "open", "rename", "rm"] as const) : OPERATIONS,
  );
  const isRare = operation !== "write" && operation !== "datasync";
  return {
    operation,
    at: random.whole(1, isRare ? Math.ceil(most / 8) : most),
    what,
    moment: random.pick(["before", "halfway", "after"]),
    times: random.pick([1, 2, 10]),
    code: random.pick(["EIO", "ENOSPC"]),
    seed: random.whole(1, 1e9),
  };
}

/** Until the process has died, or all its rows are submitted. */
async function untilDead(laboratory: Laboratory): Promise<void> {
  const waited = wait(400, "alive");
  if ((await Promise.race([laboratory.producer.gone, waited])) !== "alive") laboratory.died();
}

const killed: FaultKind = {
  name: "kill -9",
  load: { poison: 0.1 },
  run: async (laboratory, random) => {
    await soon(random, 150);
    await laboratory.kill();
  },
};

const killedAtFile: FaultKind = {
  name: "kill -9 at a file operation",
  load: { poison: 0.1 },
  run: async (laboratory, random) => {
    await laboratory.producer.send({ do: "arm", crash: crashPlan(random, "kill", 40) });
    await untilDead(laboratory);
  },
};

const powerCut: FaultKind = {
  name: "power cut",
  load: { poison: 0.1 },
  life: (_laboratory, random) => ({ crash: { ...crashPlan(random, "power", 1), at: 1e9 } }),
  run: async (laboratory, random) => {
    await soon(random, 150);
    await laboratory.producer.send({ do: "power", seed: random.whole(1, 1e9) });
    laboratory.died();
  },
};

const powerCutAtFile: FaultKind = {
  name: "power cut at a file operation",
  load: { poison: 0.1 },
  life: (_laboratory, random) => ({ crash: crashPlan(random, "power", 60) }),
  run: untilDead,
};

const killedInRecovery: FaultKind = {
  name: "kill -9 during recovery",
  run: async (laboratory, random) => {
    laboratory.proxy.cut();
    await soon(random, 100);
    await laboratory.kill();
    laboratory.proxy.heal();
    for (let death = 0; death < 2; death++) {
      const crash = crashPlan(random, random.pick(["kill", "power"]), 5);
      if ((await laboratory.tryOpen(random, { crash })) === undefined) continue;
      await soon(random, 50);
      await laboratory.kill();
    }
  },
};

const failingFiles: FaultKind = {
  name: "file operations fail",
  run: async (laboratory, random) => {
    laboratory.ledger.forgive(laboratory.producer.pid);
    await laboratory.producer.send({ do: "arm", crash: crashPlan(random, "fail", 20) });
    await soon(random, 200);
    await laboratory.producer.send({ do: "arm", crash: undefined });
  },
};

const diskFull: FaultKind = {
  name: "disk full",
  needsSmallDisk: true,
  life: (laboratory, random) => ({
    spoolFolder: `${laboratory.smallDisk}/spool`,
    ...(random.chance(0.5) && { lettersFolder: `${laboratory.smallDisk}/letters` }),
  }),
  load: { poison: 0.05 },
  run: async (laboratory, random) => {
    const { spoolFolder } = laboratory.life!;
    laboratory.ledger.forgive(laboratory.producer.pid);
    await soon(random, 60);
    laboratory.fillSmallDisk(true);
    await soon(random, 150);
    if (random.chance(0.5)) {
      await laboratory.kill();
      // It may be refused or not, but nothing may be lost by trying.
      if (random.chance(0.5)) await laboratory.tryOpen(random, { spoolFolder });
    }
    laboratory.fillSmallDisk(false);
    // The rest is drained from there before anything else is opened.
    if (!laboratory.isAlive) await laboratory.openLife(random, { spoolFolder });
  },
};

const serverKilled: FaultKind = {
  name: "PostgreSQL killed and restarted",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 80);
    await laboratory.cluster.end("kill");
    await soon(random, 150);
    if (random.chance(0.3)) await laboratory.kill();
    await laboratory.cluster.restart();
  },
};

const serverRestarted: FaultKind = {
  name: "PostgreSQL shut down and restarted",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 80);
    await laboratory.cluster.end("shutdown");
    await soon(random, 100);
    await laboratory.cluster.restart();
  },
};

const backendKilled: FaultKind = {
  name: "server process killed",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 80);
    const rows = await laboratory.sql<{ pid: number }>("select pid from pg_stat_activity where usename = $1", [LOGIN]);
    if (rows.length > 0) process.kill(random.pick(rows).pid, "SIGKILL");
    await untilServerAnswers(laboratory);
  },
};

/** The server ends all its processes when one of them was killed, and recovers. */
async function untilServerAnswers(laboratory: Laboratory): Promise<void> {
  for (let answers = 0; answers < 2; ) {
    const isThere = await laboratory.sql("select").then(
      () => true,
      () => false,
    );
    answers = isThere ? answers + 1 : 0;
    await wait(20);
  }
}

const connectionsCut: FaultKind = {
  name: "connections cut",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    for (let cut = random.whole(1, 4); cut > 0; cut--) {
      await soon(random, 60);
      laboratory.proxy.cut();
      laboratory.proxy.heal();
    }
  },
};

const connectionsRefused: FaultKind = {
  name: "connections refused for a while",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 60);
    laboratory.proxy.cut();
    await soon(random, 300);
    if (random.chance(0.3)) await laboratory.kill();
    laboratory.proxy.heal();
  },
};

const connectionsStalled: FaultKind = {
  name: "connections that carry nothing",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 60);
    laboratory.proxy.stall();
    await wait(random.pick([50, 300, 1_200]));
    laboratory.proxy.heal();
  },
};

const answerLost: FaultKind = {
  name: "answer to a commit lost",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    for (let loss = random.whole(1, 3); loss > 0; loss--) {
      const { lost } = laboratory.proxy;
      laboratory.proxy.loseAnswerTo("mds.upsert_");
      for (let turn = 0; turn < 20 && laboratory.proxy.lost === lost; turn++) await wait(5);
    }
    if (random.chance(0.3)) await laboratory.kill();
    laboratory.proxy.heal();
  },
};

const terminated: FaultKind = {
  name: "connections terminated by an administrator",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    for (let times = random.whole(1, 3); times > 0; times--) {
      await soon(random, 50);
      await laboratory.terminate();
    }
  },
};

const connectionsLimited: FaultKind = {
  name: "too many connections",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await laboratory.sql(`alter role ${LOGIN} connection limit 1`);
    await laboratory.terminate();
    await soon(random, 150);
    await laboratory.sql(`alter role ${LOGIN} connection limit -1`);
  },
};

const loginRefused: FaultKind = {
  name: "login refused",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await laboratory.sql(`alter role ${LOGIN} nologin`);
    await laboratory.terminate();
    await soon(random, 150);
    await laboratory.sql(`alter role ${LOGIN} login`);
  },
};

const LOCK_SQL = `select from store.bars_data d join store.bars_series s using (series_id)
  where s.symbol = $1 order by d.series_id, d.ts for update of d`;

/** Many writers on few keys, in transactions of many rows. */
const CROWDED = {
  inMemoryToo: true,
  life: () => ({ workers: 4, batchRows: 100, flushIntervalMs: 10 }),
  load: { fresh: 0.05, callers: 8, pauseMs: 5, rows: 800 },
} satisfies Partial<FaultKind>;

const deadlock: FaultKind = {
  name: "deadlock",
  ...CROWDED,
  load: { ...CROWDED.load, datasets: [0] },
  run: async (laboratory, random) => {
    const session = await laboratory.session();
    await session.query("set deadlock_timeout = '10s'"); // The other side is the one that finds it.
    for (let round = 0; round < 3; round++) {
      await session.query("begin");
      await session.query(LOCK_SQL, [`S${random.whole(4, 6)}`]);
      for (let turn = 0; turn < 60; turn++) {
        const { rows } = await session.query(
          "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'",
          [LOGIN],
        );
        if (rows.length > 0) break;
        await wait(5);
      }
      for (const symbol of ["S1", "S2", "S3"]) await session.query(LOCK_SQL, [symbol]);
      await session.query("rollback");
    }
    await session.end();
  },
};

const serialization: FaultKind = {
  name: "serialization failures",
  ...CROWDED,
  run: async (laboratory, random) => {
    await laboratory.sql(`alter role ${LOGIN} set default_transaction_isolation = 'serializable'`);
    await laboratory.terminate();
    const session = await laboratory.session();
    for (let turn = random.whole(5, 15); turn > 0; turn--) {
      await session.query("update store.bars_data set vwap = vwap where ts < '2024-01-01'");
      await session.query("update store.signals_data set score = score where ts < '2024-01-01'");
    }
    await session.end();
    await laboratory.sql(`alter role ${LOGIN} reset default_transaction_isolation`);
    await laboratory.terminate();
  },
};

const tablesLocked: FaultKind = {
  name: "tables locked",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await withTablesLocked(laboratory, () => wait(random.pick([50, 200, 1_200])));
  },
};

async function withTablesLocked<T>(laboratory: Laboratory, work: () => Promise<T>): Promise<T> {
  const session = await laboratory.session();
  await session.query("begin");
  await session.query("lock table store.bars_data, store.signals_data, store.options_data in access exclusive mode");
  const result = await work();
  await session.query("rollback");
  await session.end();
  return result;
}

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
  life: (laboratory) => ({ webhook: laboratory.webhookUrl, batchRows: 5 }),
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
    return withTablesLocked(laboratory, () => laboratory.stopLife(options));
  },
};

const sigterm: FaultKind = {
  name: "SIGTERM",
  inMemoryToo: true,
  run: async (laboratory, random) => {
    await soon(random, 150);
    const { producer } = laboratory;
    producer.kill("SIGTERM");
    await producer.gone;
    laboratory.left();
    if (producer.exitCode === 0) return [];
    return [{ kind: "stuck", text: `After SIGTERM the process ended with ${producer.exitCode}.` }];
  },
};

const secondOwner: FaultKind = {
  name: "second process on the same spool",
  run: async (laboratory, random) => {
    const answer = await laboratory.openSecond(random);
    if (answer?.failed?.code === "spool_in_use") return [];
    return [{ kind: "wrong", text: `A second process was let in: ${JSON.stringify(answer)}` }];
  },
};

export const FAULT_KINDS: readonly FaultKind[] = [
  killed,
  killedAtFile,
  powerCut,
  powerCutAtFile,
  killedInRecovery,
  failingFiles,
  diskFull,
  serverKilled,
  serverRestarted,
  backendKilled,
  connectionsCut,
  connectionsRefused,
  connectionsStalled,
  answerLost,
  terminated,
  connectionsLimited,
  loginRefused,
  deadlock,
  serialization,
  tablesLocked,
  badRows,
  tenantDeleted,
  seriesGone,
  slowWebhook,
  clockJumps,
  stopWhileOpen,
  drainTimeout,
  sigterm,
  secondOwner,
];

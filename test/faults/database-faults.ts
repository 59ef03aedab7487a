/** Faults of the database and of the way there. */
import { setTimeout as wait } from "node:timers/promises";
import { type FaultKind, soon } from "./fault-kind.ts";
import { type Laboratory, LOGIN } from "./laboratory.ts";

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

/** The server may end the conflict at the expense of the laboratory. */
async function orInvolved(statement: Promise<unknown>): Promise<void> {
  await statement.catch((error: { code?: string }) => {
    if (error.code !== "40P01" && error.code !== "25P02") throw error;
  });
}

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
      for (const symbol of ["S1", "S2", "S3"]) await orInvolved(session.query(LOCK_SQL, [symbol]));
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
      await orInvolved(session.query("update store.bars_data set vwap = vwap where ts < '2024-01-01'"));
      await orInvolved(session.query("update store.signals_data set score = score where ts < '2024-01-01'"));
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
    await laboratory.withTablesLocked(() => wait(random.pick([50, 200, 1_200])));
  },
};

/** Outages, lost connections and answers, conflicts. */
export const DATABASE_FAULTS: readonly FaultKind[] = [
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
];

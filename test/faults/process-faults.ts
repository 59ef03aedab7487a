/** Faults of the process and of its files. */
import { setTimeout as wait } from "node:timers/promises";
import type { SeededRandom } from "../simulation/seeded-random.ts";
import { type CrashPlan, OPERATIONS } from "./crash-points.ts";
import { type FaultKind, soon } from "./fault-kind.ts";
import type { Laboratory } from "./laboratory.ts";

function crashPlan(random: SeededRandom, what: CrashPlan["what"], most: number): CrashPlan {
  const operation = random.pick(random.chance(0.6) ? (["write", "datasync"] as const) : OPERATIONS);
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
    await laboratory.producer.send({ do: "arm", crash: crashPlan(random, "kill", 25) });
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
  life: (_laboratory, random) => ({ crash: crashPlan(random, "power", 25) }),
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
    spoolFolder: `${laboratory.smallDisk!.folder}/spool`,
    ...(random.chance(0.5) && { lettersFolder: `${laboratory.smallDisk!.folder}/letters` }),
  }),
  load: { poison: 0.05 },
  run: async (laboratory, random) => {
    const { spoolFolder } = laboratory.life!;
    laboratory.ledger.forgive(laboratory.producer.pid);
    await soon(random, 60);
    laboratory.smallDisk!.fill();
    await soon(random, 150);
    if (random.chance(0.5)) {
      await laboratory.kill();
      // It may be refused or not, but nothing may be lost by trying.
      if (random.chance(0.5)) await laboratory.tryOpen(random, { spoolFolder });
    }
    laboratory.smallDisk!.empty();
    // The rest is drained from there before anything else is opened.
    if (!laboratory.isAlive) await laboratory.openLife(random, { spoolFolder });
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

/** Death, power cuts, disks, and two at once. */
export const PROCESS_FAULTS: readonly FaultKind[] = [
  killed,
  killedAtFile,
  powerCut,
  powerCutAtFile,
  killedInRecovery,
  failingFiles,
  diskFull,
  sigterm,
  secondOwner,
];

/** A TCP proxy in front of a database, for tests that take the database away or lose an answer of it. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface DatabaseProxy {
  /** The database's URL, by way of the proxy. */
  readonly url: string;
  /** Breaks every connection and refuses new ones. */
  cut(): void;
  /** Carries nothing any more, over connections that stay: neither side learns why. */
  stall(): void;
  /** Lets connections and bytes through again. */
  heal(): void;
  /** Breaks the connection on which such a statement comes, once the database has committed and before it says so. */
  loseAnswerTo(statement: string): void;
  /** How many answers were lost. */
  readonly lost: number;
  close(): Promise<void>;
}

export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const given = new URL(databaseUrl);
  const folder = given.searchParams.get("host");
  const port = given.port === "" ? 5432 : Number(given.port);
  const sockets = new Set<Socket>();
  let isCut = false;
  let isStalled = false;
  let wanted: string | undefined;
  let lost = 0;
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = folder === null ? connect(port, given.hostname) : connect(`${folder}/.s.PGSQL.${port}`);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from
        .on("error", () => to.destroy())
        .on("close", () => {
          to.destroy();
          sockets.delete(from);
        });
      from.pipe(to);
      if (isStalled) from.pause();
    }
    near.on("data", (sent: Buffer) => {
      if (wanted === undefined || !sent.includes(wanted)) return;
      wanted = undefined;
      far.unpipe(near);
      let withheld = "";
      far.on("data", (answer: Buffer) => {
        withheld += answer.toString("latin1");
        if (!withheld.includes("COMMIT\0")) return;
        lost++;
        near.destroy();
      });
      far.resume(); // To stop piping is to pause.
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(databaseUrl);
  url.searchParams.delete("host");
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    cut,
    stall: () => {
      isStalled = true;
      for (const socket of sockets) socket.pause();
    },
    heal: () => {
      isCut = false;
      wanted = undefined;
      if (!isStalled) return;
      isStalled = false;
      for (const socket of sockets) socket.resume();
    },
    loseAnswerTo: (statement) => {
      wanted = statement;
    },
    get lost() {
      return lost;
    },
    close: async () => {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}

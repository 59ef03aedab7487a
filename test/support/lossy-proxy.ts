/** A proxy before the database that can lose the answer to a transaction which the database has committed. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface LossyProxy {
  /** The given connection string, by way of the proxy. */
  readonly url: string;
  /** Cuts the connection after the next commit of a transaction whose statements hold this text. */
  loseAnswerTo(text: string): void;
  /** How many answers were lost. */
  readonly lost: number;
  close(): Promise<void>;
}

export async function startLossyProxy(databaseUrl: string): Promise<LossyProxy> {
  const target = new URL(databaseUrl);
  const folder = target.searchParams.get("host");
  const port = target.port === "" ? 5432 : Number(target.port);
  const sockets = new Set<Socket>();
  let wanted: string | undefined;
  let lost = 0;
  const server = createServer((client) => {
    const upstream = folder === null ? connect(port, target.hostname) : connect(`${folder}/.s.PGSQL.${port}`);
    const end = (): void => {
      for (const socket of [client, upstream]) sockets.delete(socket.destroy());
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end).on("close", end);
    }
    let withheld: string | undefined;
    client.on("data", (data) => {
      if (wanted !== undefined && data.includes(wanted)) {
        wanted = undefined;
        withheld = "";
      }
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (withheld === undefined) {
        client.write(data);
        return;
      }
      withheld += data.toString("latin1");
      if (!withheld.includes("COMMIT\0")) return;
      lost++;
      end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `postgres://${target.username}:${target.password}@127.0.0.1:${own}${target.pathname}`,
    loseAnswerTo: (text) => {
      wanted = text;
    },
    get lost() {
      return lost;
    },
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

/**
 * The server's settings, written anew at each start so that better ones reach existing data folders. What a person
 * changes with `alter system` wins, because PostgreSQL reads postgresql.auto.conf after this file.
 */
import { join } from "node:path";
import { clusterName } from "./processes.ts";

/** Whether data must survive a crash of the machine; `throwaway` is for tests. */
export type Durability = "durable" | "throwaway";

/** A Unix socket is found by its port, which therefore is fixed whatever PGPORT says. */
export const SOCKET_PORT = 5432;

const DURABLE: Readonly<Record<string, string>> = {
  shared_buffers: "256MB",
  // Bulk loads write much log in a short time; fewer checkpoints mean fewer full pages in it.
  max_wal_size: "2GB",
  checkpoint_timeout: "15min",
  max_connections: "50",
};

const THROWAWAY: Readonly<Record<string, string>> = {
  shared_buffers: "128MB",
  max_wal_size: "1GB",
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off",
  // Several test files run at once, each with pools of its own.
  max_connections: "200",
};

const COMMON: Readonly<Record<string, string>> = {
  listen_addresses: "",
  port: String(SOCKET_PORT),
  unix_socket_permissions: "0700",
  password_encryption: "scram-sha-256",
  // Nobody replicates from it, and then a load into a new table needs no write-ahead log.
  wal_level: "minimal",
  max_wal_senders: "0",
  max_logical_replication_workers: "0",
  // A statement over all partitions of several datasets locks each of them and its index.
  max_locks_per_transaction: "256",
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  log_destination: "stderr",
  log_line_prefix: "%m [%p] ",
  log_checkpoints: "off",
  // Statements may carry data and passwords; the client that sent one has its text.
  log_min_error_statement: "panic",
};

/** Text of postgresql.conf. */
export function serverSettings(home: string, cluster: string, socketDir: string, durability: Durability): string {
  const settings = {
    ...COMMON,
    ...(durability === "durable" ? DURABLE : THROWAWAY),
    hba_file: join(home, "pg_hba.conf"),
    unix_socket_directories: `"${socketDir.replaceAll('"', '""')}"`,
    cluster_name: clusterName(cluster),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  return `# Written at each start of market-data-store. Changes belong into "alter system", which wins.\n${lines.join("\n")}\n`;
}

/** Text of pg_hba.conf: everybody needs a password, over the Unix socket only. */
export const ACCESS_RULES = "local all all scram-sha-256\n";

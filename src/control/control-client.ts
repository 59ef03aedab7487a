/**
 * The typed client of the service's admin API, for orchestrators. A function of the same endpoints and schemas as the
 * routes. Calls that make a job carry an idempotency key, so that a lost answer makes no second job.
 */
import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { HealthStatus } from "../contracts/health-status.ts";
import type { AcceptedJob, Job, JobState } from "../contracts/job.ts";
import type { SchemaVersion } from "../contracts/schema-version.ts";
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import type { CreatedIngestTokenRecord, IngestTokenRecord, TenantRecord } from "./access.ts";
import type { Endpoint } from "./endpoint.ts";
import { ENDPOINTS } from "./endpoints.ts";
import { callEndpoint, type EndpointCall, pause, type Transport } from "./http-transport.ts";
import type * as inputs from "./job-inputs.ts";
import type { policiesInput } from "./policies.ts";
import type { AcceptedJobs, PolicyChangeRecord, PolicyRecord } from "./requests.ts";

/** Longer than the service takes for any answer (12 s), so that its own error arrives. */
const DEFAULT_TIMEOUT_MS = 15_000;
/** A backfill of hours is waited for with a longer time, given by who knows it. */
const DEFAULT_WAIT_MS = 3_600_000;
const FIRST_POLL_MS = 250;
/** Often enough for people, seldom enough for a service with many waiting. */
const LONGEST_POLL_MS = 5_000;

const FINAL_STATES: ReadonlySet<JobState> = new Set(["succeeded", "failed", "cancelled"]);

/** What a backfill takes, by its name. */
export interface BackfillInputs {
  readonly "ingest-files": z.input<typeof inputs.ingestFilesInput>;
  readonly "rebuild-aggregates": z.input<typeof inputs.rebuildAggregatesInput>;
  readonly "verify-coverage": z.input<typeof inputs.verifyCoverageInput>;
}

export interface ControlClientOptions {
  /** Where the service is, e.g. `http://store:8082`; a path before the routes is kept. */
  readonly baseUrl: string;
  /** The admin token; health, readiness and schema version need none. */
  readonly token?: string;
  readonly fetch?: typeof fetch;
  /** Deadline of each attempt of a call; 15 s unless given. */
  readonly timeoutMs?: number;
}

const OPTIONS = fieldsOf<ControlClientOptions>({ baseUrl: true, token: true, fetch: true, timeoutMs: true });

export interface ControlCallOptions {
  /** Ends the call with `aborted`. */
  readonly signal?: AbortSignal;
}

export interface JobCallOptions extends ControlCallOptions {
  /** The same key gets the same job for 24 hours; a new one for each call unless given. */
  readonly idempotencyKey?: string;
}

export interface WaitOptions extends ControlCallOptions {
  /** How long to wait in all; an hour unless given. */
  readonly timeoutMs?: number;
}

/**
 * Every method throws a StoreError with the code, the message and the details of the service's problem, and
 * `service_unreachable`, `deadline_exceeded` or `aborted`. Calls that may be repeated without harm are tried three times.
 */
export interface ControlClient {
  /** Also when the store is unhealthy. */
  health(options?: ControlCallOptions): Promise<HealthStatus>;
  /** Whether requests should be sent there. */
  ready(options?: ControlCallOptions): Promise<boolean>;
  schemaVersion(options?: ControlCallOptions): Promise<SchemaVersion>;

  migrate(options?: JobCallOptions): Promise<AcceptedJob>;
  /** Makes the jobs `retention` and `compression`. */
  applyRetention(input?: z.input<typeof inputs.retentionInput>, options?: JobCallOptions): Promise<AcceptedJobs>;
  refreshAggregates(
    input?: z.input<typeof inputs.refreshAggregatesInput>,
    options?: JobCallOptions,
  ): Promise<AcceptedJob>;
  /** A built-in backfill, or one of the service's own. */
  backfill<Name extends keyof BackfillInputs>(
    name: Name,
    input: BackfillInputs[Name],
    options?: JobCallOptions,
  ): Promise<AcceptedJob>;
  backfill(name: string, input: object, options?: JobCallOptions): Promise<AcceptedJob>;

  job(id: string, options?: ControlCallOptions): Promise<Job>;
  /** The newest first; 100 unless `limit` says otherwise. */
  jobs(
    filter?: { readonly name?: string; readonly state?: JobState; readonly limit?: number },
    options?: ControlCallOptions,
  ): Promise<Job[]>;
  cancelJob(id: string, options?: ControlCallOptions): Promise<Job>;
  retryJob(id: string, options?: ControlCallOptions): Promise<Job>;
  /**
   * The job when it has ended, however it did: look at its `state`. Goes on while the service is away.
   *
   * @throws StoreError `deadline_exceeded` when it has not ended in time.
   */
  waitForJob(id: string, options?: WaitOptions): Promise<Job>;

  policies(options?: ControlCallOptions): Promise<PolicyRecord[]>;
  /** What changed, or with `dryRun` would change; an omitted dataset or field stays as it is. */
  applyPolicies(
    wanted: z.input<typeof policiesInput>,
    options?: ControlCallOptions & { readonly dryRun?: boolean },
  ): Promise<PolicyChangeRecord[]>;

  tenants(options?: ControlCallOptions): Promise<TenantRecord[]>;
  createTenant(
    tenant: { readonly slug: string; readonly name?: string },
    options?: ControlCallOptions,
  ): Promise<TenantRecord>;
  /** A tenant is named by slug or UUID, here and below. */
  renameTenant(
    tenant: string,
    changes: { readonly slug?: string; readonly name?: string },
    options?: ControlCallOptions,
  ): Promise<TenantRecord>;
  deleteTenant(tenant: string, options?: JobCallOptions): Promise<AcceptedJob>;
  tokens(tenant: string, options?: ControlCallOptions): Promise<IngestTokenRecord[]>;
  /** The answer holds the secret, which is told this once. */
  createToken(tenant: string, name: string, options?: ControlCallOptions): Promise<CreatedIngestTokenRecord>;
  revokeToken(tenant: string, id: string, options?: ControlCallOptions): Promise<void>;
}

/**
 * Makes a client. It keeps no connection of its own.
 *
 * @throws StoreError `usage` for a base URL that is none.
 */
export function createControlClient(options: ControlClientOptions): ControlClient {
  requireFields("createControlClient", options, OPTIONS);
  const transport = transportOf(options);
  const call = async <const E extends Endpoint>(endpoint: E, given: EndpointCall) =>
    (await callEndpoint(transport, endpoint, given)).answer;
  const makeJob = <const E extends Endpoint>(endpoint: E, given: EndpointCall, jobOptions: JobCallOptions = {}) =>
    call(endpoint, { idempotencyKey: randomUUID(), ...given, ...jobOptions });
  const job = (id: string, { signal }: ControlCallOptions = {}) => call(ENDPOINTS.getJob, { params: { id }, signal });
  return {
    health: ({ signal } = {}) => call(ENDPOINTS.health, { signal }),
    ready: async ({ signal } = {}) => (await callEndpoint(transport, ENDPOINTS.readyz, { signal })).status === 200,
    schemaVersion: ({ signal } = {}) => call(ENDPOINTS.schemaVersion, { signal }),
    migrate: (jobOptions) => makeJob(ENDPOINTS.migrate, {}, jobOptions),
    applyRetention: (body = {}, jobOptions) => makeJob(ENDPOINTS.applyRetention, { body }, jobOptions),
    refreshAggregates: (body = {}, jobOptions) => makeJob(ENDPOINTS.refreshAggregates, { body }, jobOptions),
    backfill: (name: string, body: object, jobOptions?: JobCallOptions) =>
      makeJob(ENDPOINTS.backfill, { params: { job: name }, body }, jobOptions),
    job,
    jobs: async (query = {}, { signal } = {}) => (await call(ENDPOINTS.listJobs, { query, signal })).jobs,
    cancelJob: (id, { signal } = {}) => call(ENDPOINTS.cancelJob, { params: { id }, signal }),
    retryJob: (id, { signal } = {}) => call(ENDPOINTS.retryJob, { params: { id }, signal }),
    waitForJob: (id, waitOptions) => waitForEnd(() => job(id, waitOptions), id, waitOptions),
    policies: async ({ signal } = {}) => (await call(ENDPOINTS.listPolicies, { signal })).policies,
    applyPolicies: async (body, { signal, dryRun = false } = {}) =>
      (await call(ENDPOINTS.applyPolicies, { query: { dry_run: String(dryRun) }, body, signal })).changes,
    tenants: async ({ signal } = {}) => (await call(ENDPOINTS.listTenants, { signal })).tenants,
    createTenant: (body, { signal } = {}) => call(ENDPOINTS.createTenant, { body, signal }),
    renameTenant: (tenant, body, { signal } = {}) => call(ENDPOINTS.changeTenant, { params: { tenant }, body, signal }),
    deleteTenant: (tenant, jobOptions) => makeJob(ENDPOINTS.deleteTenant, { params: { tenant } }, jobOptions),
    tokens: async (tenant, { signal } = {}) =>
      (await call(ENDPOINTS.listTokens, { params: { tenant }, signal })).tokens,
    createToken: (tenant, name, { signal } = {}) =>
      call(ENDPOINTS.createToken, { params: { tenant }, body: { name }, signal }),
    revokeToken: async (tenant, id, { signal } = {}) => {
      await call(ENDPOINTS.revokeToken, { params: { tenant, id }, signal });
    },
  };
}

function transportOf({
  baseUrl,
  token,
  fetch: send = fetch,
  timeoutMs = DEFAULT_TIMEOUT_MS,
}: ControlClientOptions): Transport {
  const url = typeof baseUrl === "string" ? URL.parse(baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new StoreError("usage", "baseUrl must be an http or https URL such as http://127.0.0.1:8082.");
  }
  if (url.username !== "" || url.password !== "") {
    throw new StoreError("usage", "baseUrl must hold no login; the admin token is given as `token`.");
  }
  return { baseUrl: url, token, fetch: send, timeoutMs };
}

async function waitForEnd(
  read: () => Promise<Job>,
  id: string,
  { signal, timeoutMs = DEFAULT_WAIT_MS }: WaitOptions = {},
): Promise<Job> {
  const deadline = performance.now() + timeoutMs;
  for (let wait = FIRST_POLL_MS; ; wait = Math.min(LONGEST_POLL_MS, wait * 1.5)) {
    const job = await read().catch((error: unknown) => {
      // It may be back before the time is over.
      if (error instanceof StoreError && error.retryable && performance.now() < deadline) return undefined;
      throw error;
    });
    if (job !== undefined && FINAL_STATES.has(job.state)) return job;
    const left = deadline - performance.now();
    if (left <= 0) {
      const state = job === undefined ? "unknown" : job.state;
      throw new StoreError("deadline_exceeded", `Job ${id} has not ended within ${timeoutMs} ms; it is ${state}.`);
    }
    await pause(Math.min(wait, left), signal);
  }
}

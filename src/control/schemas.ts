/**
 * Every schema of the service's HTTP API by the name that it has in the OpenAPI document. Routes and the client load this
 * file when they are first used: the schema library costs 20 MB, and a service that is only watched needs none of it.
 */
import { z } from "zod";
import { healthStatus } from "../contracts/health-status.ts";
import { acceptedJob, job } from "../contracts/job.ts";
import { problem } from "../contracts/problem.ts";
import { schemaVersion } from "../contracts/schema-version.ts";
import { createdIngestToken, ingestToken, newIngestToken, newTenant, tenant, tenantChanges } from "./access.ts";
import {
  ingestFilesInput,
  migrateInput,
  rebuildAggregatesInput,
  refreshAggregatesInput,
  retentionInput,
  verifyCoverageInput,
} from "./job-inputs.ts";
import { policiesInput } from "./policies.ts";
import {
  acceptedJobs,
  backfillPath,
  jobList,
  jobPath,
  jobQuery,
  policyChanges,
  policyList,
  policyQuery,
  readyQuery,
  tenantPath,
  tokenPath,
} from "./requests.ts";
import { acceptedRows, ingestPath, ingestProblem } from "./rows.ts";

export const SCHEMAS = {
  AcceptedJob: acceptedJob,
  AcceptedRows: acceptedRows,
  AcceptedJobs: acceptedJobs,
  Alive: z.object({ status: z.literal("alive") }),
  BackfillPath: backfillPath,
  CreatedIngestToken: createdIngestToken,
  HealthStatus: healthStatus,
  IngestFilesInput: ingestFilesInput,
  IngestPath: ingestPath,
  IngestProblem: ingestProblem,
  IngestToken: ingestToken,
  IngestTokenList: z.object({ tokens: z.array(ingestToken) }),
  Job: job,
  JobList: jobList,
  JobPath: jobPath,
  JobQuery: jobQuery,
  MigrateInput: migrateInput,
  NewIngestToken: newIngestToken,
  NewTenant: newTenant,
  PoliciesInput: policiesInput,
  PolicyChanges: policyChanges,
  PolicyList: policyList,
  PolicyQuery: policyQuery,
  Problem: problem,
  ReadyQuery: readyQuery,
  RebuildAggregatesInput: rebuildAggregatesInput,
  RefreshAggregatesInput: refreshAggregatesInput,
  RetentionInput: retentionInput,
  SchemaVersion: schemaVersion,
  Tenant: tenant,
  TenantChanges: tenantChanges,
  TenantList: z.object({ tenants: z.array(tenant) }),
  TenantPath: tenantPath,
  TokenPath: tokenPath,
  VerifyCoverageInput: verifyCoverageInput,
} as const satisfies Readonly<Record<string, z.ZodType>>;

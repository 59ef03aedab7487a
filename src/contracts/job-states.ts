/** The states of a job, for what needs no more of the contract than their names. */
export const JOB_STATES = ["queued", "running", "retrying", "succeeded", "failed", "cancelled"] as const;

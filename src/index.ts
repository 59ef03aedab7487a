/** The public names of market-data-store. Nothing else is a promise. */
export type { BarsClient } from "./client/bars-client.ts";
export type { DatasetClient } from "./client/dataset-client.ts";
export type { LatestPrice, LatestQuery } from "./client/latest.ts";
export { openStore, type Store, type StoreOptions } from "./client/open-store.ts";
export type { WindowColumns } from "./client/read.ts";
export type { RowRejection, RowSource, UpsertOptions, UpsertResult } from "./client/upsert.ts";
export type { Choice, ReadOptions, Series, WindowQuery } from "./client/window.ts";
export { type Bar, type BarInput, bars } from "./datasets/bars.ts";
export type { DatasetShape, InputRow, StoredRow, TimeInput } from "./datasets/dataset.ts";
export { datasetJsonSchema } from "./datasets/derive/json-schema.ts";
export { formatTime } from "./datasets/values/time.ts";
export { type TimeZone, timeZone } from "./datasets/values/time-zone.ts";
export { TIMEFRAMES, type Timeframe } from "./datasets/values/timeframe.ts";
export type { ErrorCode } from "./errors/codes.ts";
export { StoreError } from "./errors/store-error.ts";

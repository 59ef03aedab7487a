import { describe, expect, it } from "vitest";
import { StoreError } from "../errors/store-error.ts";
import { asStoreError, problemOf } from "./problem.ts";

describe("problemOf", () => {
  it("tells code, sentence and facts", () => {
    const error = new StoreError("not_found", "There is no job x.", { details: { known: ["refresh"] } });
    expect(problemOf(error)).toEqual({
      type: "about:blank",
      title: "Not Found",
      status: 404,
      code: "not_found",
      detail: "There is no job x.",
      details: { known: ["refresh"] },
    });
  });

  it("tells nothing of what is ours to mend", () => {
    const problem = problemOf(
      new StoreError("database_error", "column x of table y", { details: { sqlstate: "42703" } }),
    );
    expect(problem).toMatchObject({ status: 500, code: "database_error" });
    expect(JSON.stringify(problem)).not.toMatch(/column|42703/);
  });

  it("hides secrets and leaves causes and stacks out", () => {
    const cause = new Error("inner");
    const error = new StoreError("database_unavailable", "postgres://u:hunter2@h does not answer.", { cause });
    expect(JSON.stringify(problemOf(error))).not.toMatch(/hunter2|inner|problem\.test/);
  });
});

describe("asStoreError", () => {
  it.each([
    [{ code: "FST_ERR_CTP_BODY_TOO_LARGE", statusCode: 413 }, "body_too_large", 413],
    [{ code: "FST_ERR_CTP_INVALID_JSON_BODY", statusCode: 400 }, "body_invalid", 422],
    [{ code: "FST_ERR_CTP_INVALID_MEDIA_TYPE", statusCode: 415 }, "media_type_unsupported", 415],
    [{ code: "HPE_HEADER_OVERFLOW" }, "headers_too_large", 431],
    [{ code: "UNHEARD_OF", statusCode: 418 }, "request_invalid", 400],
    [new TypeError("x is not a function"), "internal", 500],
    ["thrown text", "internal", 500],
    [undefined, "internal", 500],
    [null, "internal", 500],
  ])("of %j is %s", (thrown, code, status) => {
    expect(asStoreError(thrown)).toMatchObject({ code, status });
  });

  it("keeps a StoreError", () => {
    const error = new StoreError("tenant_unknown", "There is no tenant x.");
    expect(asStoreError(error)).toBe(error);
  });
});

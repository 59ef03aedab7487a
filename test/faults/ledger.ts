/**
 * Compares what producers were told with what is in the database and in the dead letters. Of each key the newest row
 * that was surely accepted must be stored, or one that came later and is in doubt; a row that was given up must be in
 * the dead letters, once. A row that was refused may be there, but never with other values than its own.
 */
import type { StoredLetter } from "../../src/coordinator/dead-letters/dead-letter.ts";
import { typedJson } from "../../src/coordinator/typed-json.ts";
import type { OracleLine } from "./oracle.ts";
import { DATASET_ORDER, keyOf, POISON, type RowFacts, type StoredRow, sampleRow, versionOf } from "./sample-rows.ts";

type ViolationKind = "lost" | "doubled" | "wrong" | "given up" | "stuck" | "left open";

export interface Violation {
  readonly kind: ViolationKind;
  readonly text: string;
}

/** A letter, and the process that wrote it. */
export interface FoundLetter {
  readonly pid: number;
  readonly letter: StoredLetter;
}

/** Rows of these keys up to this version may be gone: somebody deleted them on purpose. */
export interface Wipe {
  readonly isOf: (facts: RowFacts) => boolean;
  readonly upTo: number;
  /** Their tenant is gone, so later rows are refused. */
  readonly isForGood: boolean;
}

type Status = "sure" | "doubt" | "refused";

interface Row {
  readonly facts: RowFacts;
  status: Status;
  readonly inMemory: boolean;
  /** Process of the letter that tells of it. */
  letterOf: number | undefined;
  /** A stop cut its write off, so nobody knows whether it is stored: its letter keeps it in either case. */
  wasCutOff: boolean;
}

interface Call {
  readonly life: number;
  readonly rows: readonly Row[];
  isAnswered: boolean;
}

interface KeyState {
  /** Version that was stored at the last check. */
  stored: number;
  /** Rows since then. */
  readonly rows: Row[];
}

/** Codes with which good rows may be given up: the database answered that they are in the way of others, ten times. */
const MAY_GIVE_UP: ReadonlySet<string> = new Set(["database_conflict"]);

export class Ledger {
  readonly #lives = new Map<number, { readonly inMemory: boolean; died: boolean }>();
  readonly #calls = new Map<number, Call>();
  readonly #rows = new Map<number, Row>();
  readonly #keys = new Map<string, KeyState>();
  /** Processes that died, or whose dead letters failed: what they did last they or their heirs may do again. */
  readonly #forgetful = new Set<number>();
  readonly #wipes: Wipe[] = [];
  #tenants: readonly string[] = [];
  readonly counts = {
    accepted: 0,
    doubt: 0,
    refused: 0,
    letters: 0,
    repeatedLetters: 0,
    cutOffAndStored: 0,
    storedUninvited: 0,
  };
  readonly givenUp = new Map<string, number>();

  /** The largest number that was given to a call or a row. */
  lastNumber = 0;

  begin(life: number, inMemory: boolean): void {
    this.#lives.set(life, { inMemory, died: false });
  }

  /** A life ended without having been able to finish. */
  died(life: number): void {
    const known = this.#lives.get(life);
    if (known !== undefined) known.died = true;
  }

  forgive(pid: number): void {
    this.#forgetful.add(pid);
  }

  wipe(wipe: Wipe): void {
    this.#wipes.push(wipe);
  }

  take(lines: readonly OracleLine[]): void {
    for (const line of lines) {
      if ("called" in line) this.#called(line);
      else {
        const call = this.#calls.get(line.answered)!;
        call.isAnswered = true;
        for (const [at, row] of call.rows.entries()) row.status = at < line.accepted ? "sure" : "refused";
      }
    }
  }

  #called({ called, life, rows: all }: Extract<OracleLine, { called: number }>): void {
    const inMemory = this.#lives.get(life)!.inMemory;
    const rows = all.map((facts): Row => ({ facts, status: "doubt", inMemory, letterOf: undefined, wasCutOff: false }));
    this.#calls.set(called, { life, rows, isAnswered: false });
    this.lastNumber = Math.max(this.lastNumber, called, ...all.map(([, , , , version]) => version));
    for (const row of rows) {
      this.#rows.set(row.facts[4], row);
      this.#keyState(row.facts).rows.push(row);
    }
  }

  #keyState(facts: RowFacts): KeyState {
    const key = keyOf(facts);
    let state = this.#keys.get(key);
    if (state === undefined) {
      state = { stored: 0, rows: [] };
      this.#keys.set(key, state);
    }
    return state;
  }

  /** To be called when everything is drained; `stored` holds at least all rows of the keys since the last check. */
  check(
    tenants: readonly string[],
    stored: ReadonlyMap<(typeof DATASET_ORDER)[number], readonly StoredRow[]>,
    letters: readonly FoundLetter[],
  ): Violation[] {
    this.#tenants = tenants;
    const violations: Violation[] = [];
    this.#closeCalls(violations);
    for (const found of letters) this.#checkLetter(found, violations);
    const versions = this.#storedVersions(stored, violations);
    for (const [key, state] of this.#keys) {
      const isNew = state.rows.length > 0;
      const version = versions.get(key);
      if (!isNew && version === undefined) continue;
      this.#checkKey(key, state, version, violations);
    }
    return violations;
  }

  #closeCalls(violations: Violation[]): void {
    for (const [number, { life, rows, isAnswered }] of this.#calls) {
      const { inMemory, died } = this.#lives.get(life)!;
      if (!isAnswered && !died) {
        violations.push({ kind: "stuck", text: `Call ${number} of life ${life} never got an answer.` });
      }
      for (const row of rows) {
        if (inMemory && died && row.status === "sure") row.status = "doubt";
        if (row.status === "sure") this.counts.accepted++;
        else this.counts[row.status]++;
      }
    }
    this.#calls.clear();
  }

  #checkLetter({ pid, letter }: FoundLetter, violations: Violation[]): void {
    const row = this.#rows.get(versionOf(letter.dataset, letter.row));
    const facts = row?.facts;
    const what = `The letter ${letter.code} of ${letter.dataset} ${typedJson(letter.row)}`;
    if (row === undefined || facts === undefined) {
      violations.push({ kind: "wrong", text: `${what} tells of a row that nobody submitted.` });
      return;
    }
    const [dataset, tenant, , , , poison] = facts;
    const isSame =
      DATASET_ORDER[dataset] === letter.dataset &&
      this.#tenants[tenant] === letter.tenantId &&
      typedJson(sampleRow(facts)) === typedJson(letter.row);
    if (!isSame) violations.push({ kind: "wrong", text: `${what} is not ${typedJson(sampleRow(facts))}.` });
    if (row.letterOf === undefined) this.counts.letters++;
    else if (this.#forgetful.has(row.letterOf)) this.counts.repeatedLetters++;
    else violations.push({ kind: "doubled", text: `${what} is there twice.` });
    row.letterOf = pid;
    row.wasCutOff = letter.code === "shutting_down" && row.inMemory;
    if (poison === POISON.none) this.#countGivenUp(row, letter, violations);
  }

  #countGivenUp(row: Row, { code, error }: StoredLetter, violations: Violation[]): void {
    this.givenUp.set(code, (this.givenUp.get(code) ?? 0) + 1);
    const isOfGoneTenant =
      code === "tenant_refused" && this.#wipes.some((wipe) => wipe.isForGood && wipe.isOf(row.facts));
    if (MAY_GIVE_UP.has(code) || isOfGoneTenant || (code === "shutting_down" && row.inMemory)) return;
    violations.push({ kind: "given up", text: `A good row was given up: ${code}, ${error}` });
  }

  #storedVersions(
    stored: ReadonlyMap<(typeof DATASET_ORDER)[number], readonly StoredRow[]>,
    violations: Violation[],
  ): Map<string, number> {
    const versions = new Map<string, number>();
    for (const [dataset, name] of DATASET_ORDER.entries()) {
      for (const { tenant_id, series, minute, version, is_whole } of stored.get(name) ?? []) {
        const tenant = this.#tenants.indexOf(tenant_id);
        const key = keyOf([dataset, tenant, series, minute, version, 0]);
        if (versions.has(key)) violations.push({ kind: "doubled", text: `${name} ${key} is stored twice.` });
        if (!is_whole)
          violations.push({ kind: "wrong", text: `${name} ${key} is a mixture, or not of version ${version}.` });
        if (!this.#keys.has(key)) violations.push({ kind: "wrong", text: `${name} ${key} was never submitted.` });
        versions.set(key, version);
      }
    }
    return versions;
  }

  #checkKey(key: string, state: KeyState, found: number | undefined, violations: Violation[]): void {
    const version = found ?? 0;
    const wiped = Math.max(0, ...this.#wipes.filter((wipe) => wipe.isOf(factsOfKey(key))).map(({ upTo }) => upTo));
    const good = state.rows.filter(({ facts }) => facts[5] === POISON.none);
    for (const row of state.rows) {
      if (row.facts[5] === POISON.none || !isDue(row) || isReplaced(row, state.rows)) continue;
      violations.push({ kind: "lost", text: `${key}: the bad version ${row.facts[4]} is not in the dead letters.` });
    }
    const due = [state.stored, ...good.filter(isDue).map(({ facts }) => facts[4])].filter(
      (one) => one > Math.max(version, wiped),
    );
    for (const one of due) {
      violations.push({ kind: "lost", text: `${key}: version ${one} was accepted, and version ${version} is stored.` });
    }
    if (version !== 0 && version !== state.stored) this.#checkStored(key, version, { good, wiped }, violations);
    state.stored = version;
    state.rows.length = 0;
  }

  /** A row of an earlier check that was deleted since, or given up by a process that died over it. */
  #mayComeAgain(key: string, version: number, wiped: number): boolean {
    const row = this.#rows.get(version);
    if (row === undefined || keyOf(row.facts) !== key || row.facts[5] !== POISON.none) return false;
    return version <= wiped || (row.letterOf !== undefined && this.#forgetful.has(row.letterOf));
  }

  #checkStored(
    key: string,
    version: number,
    { good, wiped }: { readonly good: readonly Row[]; readonly wiped: number },
    violations: Violation[],
  ): void {
    const row = good.find(({ facts }) => facts[4] === version);
    if (row === undefined) {
      if (this.#mayComeAgain(key, version, wiped)) return;
      violations.push({
        kind: "wrong",
        text: `${key}: version ${version} is stored, which is bad, older, or not of this key.`,
      });
      return;
    }
    if (row.status === "refused") this.counts.storedUninvited++;
    if (row.wasCutOff) this.counts.cutOffAndStored++;
    if (row.letterOf === undefined || row.wasCutOff || this.#forgetful.has(row.letterOf)) return;
    violations.push({ kind: "doubled", text: `${key}: version ${version} is stored and in the dead letters.` });
  }
}

const isDue = ({ status, letterOf }: Row): boolean => status === "sure" && letterOf === undefined;

/** Whether a newer row of its key may have taken its place in their batch, before the database could refuse it. */
function isReplaced({ facts }: Row, rows: readonly Row[]): boolean {
  return (
    facts[5] === POISON.refused && rows.some((other) => other.facts[4] > facts[4] && other.facts[5] !== POISON.invalid)
  );
}

function factsOfKey(key: string): RowFacts {
  const [dataset, tenant, series, minute] = key.split("/").map(Number);
  return [dataset!, tenant!, series!, minute!, 0, 0];
}

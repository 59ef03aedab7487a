import { describeEngine } from "../support/engine-conformance.ts";

describeEngine("plain");

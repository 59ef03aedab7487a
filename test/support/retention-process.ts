/** Applies a retention plan as a process of its own, which a test can kill. Arguments: the admin URL and the plan. */
import { openEngine } from "../../src/database/engine/open-engine.ts";

const [adminUrl, plan] = process.argv.slice(2) as [string, string];
const engine = await openEngine(adminUrl);
console.log(JSON.stringify(await engine.applyRetention(JSON.parse(plan))));

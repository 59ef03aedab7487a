/** The settings of the event bus, the schema registry and drift, as config/settings.ts lists them among all others. */
import { BOOLEAN_ALLOWED, readBoolean, setting, textLike, wholeNumber } from "./setting.ts";

const EVENT_BUSES = ["inmem", "redis"] as const;
type EventBusBackend = (typeof EVENT_BUSES)[number];

function readRedisUrl(text: string): string | undefined {
  return ["redis:", "rediss:"].includes(URL.parse(text)?.protocol ?? "") ? text : undefined;
}

/** Without a login: requests cannot carry one in their address. */
function readHttpUrl(text: string): string | undefined {
  const url = URL.parse(text);
  return url !== null && ["http:", "https:"].includes(url.protocol) && url.username === "" ? text : undefined;
}

/** As in names of schemas: v1, v2. */
const readTrack = textLike(/^v[1-9]\d{0,2}$/);

/** Those of the platform, by the key under which the program reads them. */
export const PLATFORM_SETTINGS = {
  pulseEnabled: setting({
    name: "PULSE_ENABLED",
    read: readBoolean,
    default: true,
    allowed: BOOLEAN_ALLOWED,
    meaning: "Whether feedback and drift are published on the event bus.",
  }),
  eventBusBackend: setting({
    name: "EVENT_BUS_BACKEND",
    read: (text) => EVENT_BUSES.find((backend) => backend === text.toLowerCase()),
    default: "inmem" as EventBusBackend,
    allowed: `one of ${EVENT_BUSES.join(", ")}, in any case`,
    meaning: "Where the event bus is: within the process, or on Redis, where others can listen.",
  }),
  redisUrl: setting({
    name: "REDIS_URL",
    read: readRedisUrl,
    default: "redis://localhost:6379/0",
    secret: true,
    allowed: "redis://login:password@host:6379/0 (or rediss:// for TLS), special characters percent-encoded",
    meaning: "The Redis of the event bus; used when EVENT_BUS_BACKEND is redis.",
  }),
  pulseNamespace: setting({
    name: "MD_NAMESPACE",
    read: textLike(/^[\w-]{1,63}$/),
    default: "mdp",
    allowed: "1 to 63 letters, digits, - and _",
    meaning: "Begins the names of the streams on the event bus.",
  }),
  schemaTrack: setting({
    name: "SCHEMA_TRACK",
    read: readTrack,
    default: "v1",
    allowed: "a track such as v1 or v2",
    meaning: "The track of the contracts that events name.",
  }),
  registryUrl: setting({
    name: "REGISTRY_URL",
    read: readHttpUrl,
    default: undefined as string | undefined,
    defaultText: "none, and contracts are not compared",
    allowed: "an http or https URL without a login, such as http://registry:8080",
    meaning: "The schema registry with which the store's contracts are compared.",
  }),
  registryTrack: setting({
    name: "REGISTRY_TRACK",
    read: readTrack,
    default: undefined as string | undefined,
    defaultText: "SCHEMA_TRACK",
    allowed: "a track such as v1 or v2",
    meaning: "The registry's track to compare with and to publish to.",
  }),
  registryToken: setting({
    name: "REGISTRY_TOKEN",
    read: textLike(/^[!-~]{16,512}$/),
    default: undefined as string | undefined,
    defaultText: "none; the registry is read-only",
    secret: true,
    allowed: "16 to 512 visible ASCII characters, best random ones",
    meaning: "The bearer token for publishing schemas, for the registry and for who publishes.",
  }),
  driftIntervalMs: setting({
    name: "MDS_DRIFT_INTERVAL_MS",
    read: wholeNumber(1_000, 86_400_000),
    default: 900_000,
    allowed: "a whole number from 1000 to 86400000 (milliseconds)",
    meaning: "From one comparison of the contracts with the registry's to the next.",
  }),
} as const;

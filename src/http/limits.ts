/** The limits of every HTTP server of ours, each with its reason. A route may set a lower or higher one for itself. */

/** Bodies of control requests are small objects; what carries rows sets its own limit. */
export const BODY_LIMIT_BYTES = 1_048_576;
/** Longest value of a parameter in a path: ids and names are far shorter, and patterns are matched against it. */
export const PARAM_LIMIT_CHARS = 256;
/** Time for a request's head. Who takes longer holds a connection without asking for anything. */
export const HEADERS_TIMEOUT_MS = 10_000;
/** Time for a whole request with its body: what a large body needs on a slow line, and no more. */
export const REQUEST_TIMEOUT_MS = 300_000;
/** How often both times are checked. */
export const TIMEOUT_CHECK_MS = 5_000;
/** An idle connection is kept longer than the 60 s of common balancers, so that they close first. */
export const KEEP_ALIVE_MS = 72_000;
/** Open connections at most: below the usual 1,048,576 or 65,536 file descriptors with room for the database. */
export const MAX_CONNECTIONS = 10_000;

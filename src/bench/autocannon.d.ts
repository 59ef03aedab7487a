/** What the benchmark uses of autocannon, which brings no types of its own. */
declare module "autocannon" {
  interface Options {
    readonly url: string;
    readonly connections: number;
    /** In seconds. */
    readonly duration: number;
  }
  interface Result {
    readonly requests: { readonly average: number };
    readonly latency: { readonly p99: number };
    readonly errors: number;
    readonly non2xx: number;
  }
  interface Run extends Promise<Result> {
    stop(): void;
  }
  function autocannon(options: Options): Run;
  export = autocannon;
}

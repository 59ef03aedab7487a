#!/usr/bin/env bash
# Runs the suites that are made for TimescaleDB on the server of TEST_TIMESCALE_URL (a superuser's URL; databases are made
# there and dropped again). Says so and does nothing where that is not set.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${TEST_TIMESCALE_URL:-}" ]; then
  echo "SKIPPED: TEST_TIMESCALE_URL is not set, so nothing ran on TimescaleDB."
  exit 0
fi
npx vitest run --project timescale "$@"

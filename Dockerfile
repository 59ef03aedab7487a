# The store as an image; the schema registry is the same image with the command `mds registry serve`.
# Built and run by scripts/image-check.sh. No `# syntax=` line: builders without a registry can build it too.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY runtime/package.json runtime/
# Without the workspace `runtime`: neither the pinned Node nor the embedded database.
RUN npm ci --workspaces=false --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# After the build only what runs is left; types and source maps are for people who write programs.
RUN node_modules/.bin/tsc -p tsconfig.build.json \
  && npm prune --workspaces=false --omit=dev --ignore-scripts --no-audit --no-fund \
  && find node_modules dist -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="market-data-store" \
  org.opencontainers.image.description="The store of record for market data: a service on PostgreSQL." \
  org.opencontainers.image.version="0.5.0" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.documentation="docs/infra-integration.md"
RUN apt-get update \
  && apt-get install -y --no-install-recommends curl \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
  && groupadd -r -g 999 appuser \
  && useradd -r -u 999 -g appuser -d /var/lib/mds -s /usr/sbin/nologin appuser \
  && install -d -o appuser -g appuser -m 0750 /var/lib/mds \
  && ln -s /app/bin/mds.js /usr/local/bin/mds
WORKDIR /app
COPY package.json LICENSE CHANGELOG.md ./
COPY bin bin
COPY migrations migrations
COPY contracts contracts
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
# One arena of the allocator: up to 1 MB less for an idle service.
ENV MALLOC_ARENA_MAX=1
ENV NODE_ENV=production PORT=8082 MDS_DATA_DIR=/var/lib/mds
# Spool and dead letters: name this volume, or they end with the container.
VOLUME /var/lib/mds
USER appuser
EXPOSE 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --retries=3 --start-period=20s \
  CMD curl -fsS http://localhost:${PORT}/health || exit 1
CMD ["mds", "serve"]

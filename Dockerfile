# The proxy in a container: builds the package from this checkout and installs it as users do.
#   docker build -t rlm-opencode .
#   docker run --rm -p 127.0.0.1:8768:8768 -v rlm-opencode:/data \
#     -e RLM_API_TOKEN=choose-one -e RLM_UPSTREAM_BASE_URL=... -e RLM_UPSTREAM_API_KEY=... \
#     -e RLM_UPSTREAM_MODEL=... rlm-opencode
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /checkout
COPY package.json package-lock.json ./
# The checkout's own Node is not needed here: the image has the right one.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run package && npm pack --pack-destination /tmp ./build/package

FROM node:24.21.0-bookworm-slim
COPY --from=build /tmp/rlm-opencode-*.tgz /tmp/
RUN npm install --global --omit=dev /tmp/rlm-opencode-*.tgz \
    && npm cache clean --force \
    && rm /tmp/rlm-opencode-*.tgz \
    && mkdir /data \
    && chown node:node /data
USER node
# Listening beyond loopback needs RLM_API_TOKEN: it refuses to start without.
ENV RLM_HOST=0.0.0.0 RLM_PORT=8768 RLM_DATA_DIR=/data
VOLUME /data
EXPOSE 8768
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["node", "-e", "fetch('http://127.0.0.1:8768/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["rlm-opencode"]
CMD ["serve"]

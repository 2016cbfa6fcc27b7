# The image of livestreamd. How to build, configure and run it, and why it is made like this: docs/docker.md.
#
# Builds with Docker (BuildKit) and with buildah 1.28 or newer: buildah bud --format docker (without it there is no health check).

ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# ---- build: the release, from sources alone ---------------------------------------------------------------------------------------
FROM ${RUST_IMAGE} AS build
# What librdkafka, libcurl, OpenSSL and zstd are built with; most of it is in rust:*, and not in rust:*-slim. Not pinned: Debian's mirrors keep
# no old versions, and the tag of the base image says which release it is.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates cmake g++ make perl pkg-config python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The program of a release, the same bytes as elsewhere (docs/supply-chain.md), what is linked, and its licences. Crates and objects are kept
# between builds, so that after a change of src/ only livestreamd itself is compiled.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/usr/src/livestreamd,sharing=locked \
    cargo fetch --locked \
 && packaging/release-build /built/livestreamd \
 && packaging/sbom /out/usr/share/doc/livestreamd/livestreamd.cdx.json \
 && packaging/licences /out/usr/share/doc/livestreamd/THIRD-PARTY-LICENCES \
 && install -D --strip /built/livestreamd /out/usr/bin/livestreamd \
 && install -D --mode=0644 config/container.toml /out/etc/livestreamd/livestreamd.toml \
 && install -D --mode=0644 LICENSE /out/usr/share/doc/livestreamd/LICENSE

# ---- the image ----------------------------------------------------------------------------------------------------------------------
FROM ${RUNTIME_IMAGE}
# The authorities that TLS trusts, a user, and a directory for its state that nobody else may look into: a new volume takes over its owner
# and mode.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 livestreamd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/livestreamd --shell /usr/sbin/nologin livestreamd \
 && install --directory --mode=0700 --owner=10001 --group=10001 /var/lib/livestreamd
COPY --from=build /out/ /

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="livestreamd" \
      org.opencontainers.image.description="Forwards Adobe Analytics Live Stream into Apache Kafka, and never loses a hit it was given nor hammers the service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# In numbers, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /var/lib/livestreamd
# The admin server. It listens on the container's own loopback address unless told otherwise.
EXPOSE 9600
# Whether it is alive, not whether it works: a daemon that waits for Adobe or Kafka is not mended by a restart.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["livestreamd", "status", "--alive", "--quiet"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/livestreamd"]
CMD ["run"]

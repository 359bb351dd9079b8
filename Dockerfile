# The program alone in a small image, for compose.yaml. Tags may be moved: docs/operations.md tells how to name these by digest.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG DEBIAN_IMAGE=debian:12-slim
FROM ${RUST_IMAGE} AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --release --locked --package circolo && cp target/release/circolo /circolo

FROM ${DEBIAN_IMAGE}
# curl for the health check, certificates for what is reached over TLS.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1000 circolo && mkdir /data && chown circolo /data && chmod 700 /data
COPY --from=build /circolo /usr/local/bin/circolo
USER circolo
EXPOSE 8080
ENTRYPOINT ["circolo"]
CMD ["serve", "--listen", "0.0.0.0:8080", "--data", "/data"]

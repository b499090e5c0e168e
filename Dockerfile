# Vestibule as an image: one static binary, the certificate authorities, nothing else; no shell, no package
# manager, no root. Build it with: docker build -t vestibule .

# What the final stage starts from. Nothing is needed; a base of your own (with a shell, with your authorities) is
# one --build-arg BASE=… away.
ARG BASE=scratch
ARG RUST=1.95

FROM rust:${RUST}-slim-bookworm AS builder
ARG PROFILE=release
WORKDIR /source
COPY . .
# The C library is linked in, so that the binary runs where there is none. The platform is named only because
# Cargo applies the flag to build scripts too otherwise, and those cannot be static.
RUN platform="$(rustc --print host-tuple)" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --locked --profile "${PROFILE}" --target "${platform}" --bin vestibule \
    && mkdir -p /image/etc/ssl/certs \
    && cp "target/${platform}/${PROFILE}/vestibule" /image/vestibule \
    && if [ -f /etc/ssl/certs/ca-certificates.crt ]; then \
         cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
       fi

# hadolint ignore=DL3006
FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Vestibule" \
      org.opencontainers.image.description="An authenticating reverse proxy with WorkOS sign-in" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /image/ /
# Nobody in particular: owns nothing here, and needs to write nothing.
USER 65532:65532
# The public listener, and the admin listener where it is not kept to loopback. The configuration decides.
EXPOSE 8080 9090
# Asks the admin listener that the same configuration names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["/vestibule", "healthcheck"]
ENTRYPOINT ["/vestibule"]
CMD ["serve"]

# The image of the service: only a static program, without a shell. It runs as an unprivileged user
# and writes no files.
#
#   docker build -t lumen .
#   docker run --read-only -e LUMEN_DATABASE_URL=... -p 127.0.0.1:8080:8080 lumen

# The version in .ci/toolchain, which .ci/vulnerabilities checks.
ARG GO_IMAGE=golang:1.26.11
FROM ${GO_IMAGE} AS build
ARG VERSION=
ARG COMMIT=
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /lumen ./cmd/lumen

FROM scratch
LABEL org.opencontainers.image.title="Lumen" \
      org.opencontainers.image.description="A multi-tenant customer-records service with GraphQL and REST"
# For a database or a collector of traces behind TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /lumen /lumen
USER 65532:65532
ENV LUMEN_ADDR=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["/lumen"]
CMD ["serve"]

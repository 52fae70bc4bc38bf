FROM rust:1.90-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package mcp-store && mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/mcp-store /usr/local/bin/
COPY --from=build --chown=65532:65532 /data /data
ENV MCP_STORE_DB=/data/records.db
VOLUME /data
EXPOSE 3000
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/mcp-store"]
CMD ["proxy", "--listen", "0.0.0.0:3000"]

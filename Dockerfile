# Build:          docker build -t tollgate .
# Make a key:     docker run --rm -v tollgate:/var/lib/tollgate tollgate keys create --name me
# Serve:          docker run -d --name tollgate -p 8080:8080 -v tollgate:/var/lib/tollgate -e OPENAI_API_KEY tollgate
# Try it:         curl localhost:8080/v1/models -H "authorization: Bearer tg-…"
# Usage:          docker exec tollgate tollgate --data /var/lib/tollgate usage
#
# The image listens on every address, and so does not start before there is a gateway key: without one, anybody
# who can connect would spend your money. The key is made in the volume that the gateway then runs with. To
# configure more, mount a file over /etc/tollgate/tollgate.toml (conf/tollgate.toml has every key); there, too,
# a [[keys]] table with `key = "env:…"` or `auth = "none"` under [server] answers the question.

FROM rust:1-bookworm AS build
# zlib-ng, which Pingora brings along, is built with cmake.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin tollgate

FROM debian:bookworm-slim
# The certificates that providers' own are checked with.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/tollgate --create-home --shell /usr/sbin/nologin tollgate
COPY --from=build /src/target/release/tollgate /usr/local/bin/tollgate
COPY conf/examples/container.toml /etc/tollgate/tollgate.toml
# By number, so that an orchestrator can see that it is not root.
USER 10001
WORKDIR /var/lib/tollgate
VOLUME /var/lib/tollgate
# Clients; health and metrics, which ask for no key: publish the second only where it is wanted.
EXPOSE 8080 9090
# bash is part of the base image, curl is not.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["tollgate", "--config", "/etc/tollgate/tollgate.toml"]

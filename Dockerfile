# A bootstrap node that carries the page:
#   docker build -t moim-bootstrap .
#   docker run --network host -v moim:/var/lib/moim-bootstrap moim-bootstrap
# The host's network, because peers have to be told addresses that lead here; docs/operators.md has the other way.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /moim
COPY . .
RUN cargo xtask build && cp "${CARGO_TARGET_DIR:-target}/release/moim-bootstrap" /moim-bootstrap

FROM docker.io/library/debian:bookworm-slim
# A number, so that whoever runs it can see that it is not root without looking inside.
RUN useradd --system --uid 8468 --home-dir /var/lib/moim-bootstrap --create-home moim
COPY --from=build /moim-bootstrap /usr/bin/moim-bootstrap
COPY LICENSE /usr/share/doc/moim-bootstrap/copyright
USER 8468:8468
ENV MOIM_DATA_DIR=/var/lib/moim-bootstrap
VOLUME /var/lib/moim-bootstrap
EXPOSE 8468/tcp 8468/udp 8469/tcp 8469/udp 3478/udp 8470/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/moim-bootstrap"]

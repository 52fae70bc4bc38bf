# The steps of continuous integration, which `.ci/run` holds.

# Every step
all:
    .ci/run

# Formatting
fmt:
    .ci/run fmt

# Lints
clippy:
    .ci/run clippy

# The tests of the README
test:
    .ci/run test

# Documentation without warnings
doc:
    .ci/run doc

# Each feature by itself
features:
    .ci/run features

# The oldest rusqlite, the system's SQLite, and a program with sqlx
sqlite:
    .ci/run sqlite

# The examples
examples:
    .ci/run examples

# The systemd unit and the Dockerfile
deployment:
    .ci/run deployment

# The pages of `mcp-store serve` in a browser
web:
    .ci/run web

# Official clients and servers behind the proxy
interop:
    .ci/run interop

# The official conformance suite, directly and through the proxy
conformance:
    .ci/run conformance

# The fuzz targets, for a short while each
fuzz:
    .ci/run fuzz

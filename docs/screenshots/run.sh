#!/usr/bin/env bash
# Draws the pictures of the README in `docs/images`. It records two minutes of a demonstration
# (`traffic.py`) and draws the output of the command (`shots.py`).
#
#     docs/screenshots/run.sh
#
# It needs Python 3 with `venv`. Packages from PyPI stay in the target directory. Each run makes
# the same calls; their times and latencies differ.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
venv=$target/screenshots
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/docs/screenshots/requirements.txt"
cargo build --quiet --manifest-path "$root/Cargo.toml" --package mcp-store
mkdir -p "$root/docs/images"
"$venv/bin/python" -B "$root/docs/screenshots/shots.py" "$target/debug/mcp-store" "$root/docs/images"

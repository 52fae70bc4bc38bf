#!/usr/bin/env bash
# Makes the pictures of the README anew, in `docs/images`: records two minutes of a
# demonstration (`traffic.py`) and draws what the command shows of it (`shots.py`).
#
#     docs/screenshots/run.sh
#
# Needs Python 3 with `venv`; what it takes from PyPI stays under the target directory.
# The same calls are made each time; how long they take, and when, differs.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
venv=$target/screenshots
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/docs/screenshots/requirements.txt"
cargo build --quiet --manifest-path "$root/Cargo.toml" --package mcp-store
mkdir -p "$root/docs/images"
"$venv/bin/python" -B "$root/docs/screenshots/shots.py" "$target/debug/mcp-store" "$root/docs/images"

#!/usr/bin/env bash
# Anywhere else: prove the guarantees, and compare with the last release where its evidence has been kept.
#   PROFILE   quick, ci (default), release or your own
#   BASELINE  the evidence folder of an earlier campaign: worse or weaker than it turns this red
set -euo pipefail
python3 -m venv .venv-chaos
.venv-chaos/bin/pip install --quiet 'pywats-reliability[test]'
against=()
[ -n "${BASELINE:-}" ] && against=(--against "$BASELINE")
.venv-chaos/bin/pywats-chaos verify --profile "${PROFILE:-ci}" --out chaos-evidence "${against[@]}"

#!/usr/bin/env bash
# From generated data to an explained report: prepare, training, calibrating, evaluating, explaining, and repeating where
# a bundle has it.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$repository/scripts/environment.sh"

known=() # bundles that train: one that only prepares data yet has no such file
for file in "$repository"/bundles/*/configs/train.json; do known+=("$(basename "${file%/configs/train.json}")"); done

usage() {
    cat <<EOF
Usage: ./scripts/demo.sh [BUNDLE …]

Runs the bundles (all by default) on generated data, on the CPU or the GPU, and prints where their reports are.
A second run reuses what is there; after an interruption it goes on. To start anew, delete the bundle's folders
data, models and eval.

Bundles: ${known[*]}
EOF
}

case "${1:-}" in -h | --help) usage && exit ;; esac
bundles=("$@")
if [ $# -eq 0 ]; then bundles=("${known[@]}"); fi
for bundle in "${bundles[@]}"; do
    if [[ " ${known[*]} " != *" $bundle "* ]]; then
        echo "There is no bundle '$bundle'." >&2
        usage >&2
        exit 2
    fi
done

prepare_environment "$repository/requirements.txt"
exec "$python" "$repository/scripts/demo.py" "${bundles[@]}"

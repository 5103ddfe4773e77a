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
cd "$repository"
# what a run of a few minutes writes to the terminal is progress, not advice for developers
export PYTHONWARNINGS=ignore TF_CPP_MIN_LOG_LEVEL=3
# threads that wait for each other sleep: with other work on the machine, spinning makes a small network ten times slower
export OMP_WAIT_POLICY=PASSIVE

# trained in seconds: a second training from another seed shows how far its explanations depend on the first
twice="camelyon_attmil"

monai() { # ID CONFIG… : one command of the bundle, with its settings for a demonstration if it has any
    local id=$1 list="" config
    shift
    for config in "$@" $demo; do list="$list,'bundles/$bundle/configs/$config.json'"; done
    "$python" -m monai.bundle run "$id" --config_file "[${list#,}]" ${flags[@]+"${flags[@]}"}
}

again() { # trains from another seed, beside the model
    flags=(--seed 1 --ckpt_dir "$second")
    monai training train
    flags=()
}

explain() { # with the second training, if there is one
    if [ -e "$second/model.pt" ]; then flags=(--other_model_files "['$second/model.pt']"); fi
    monai explaining inference explain
    flags=()
}

stage() { # NAME OUTPUT INPUT COMMAND… : runs the command unless its output is newer than its input
    local name=$1 output=$2 input=$3
    shift 3
    if [ -e "$output" ] && [ "$output" -nt "$input" ]; then
        echo "== $bundle: $name: up to date ($output)"
        return
    fi
    echo "== $bundle: $name"
    "$@"
    touch -c "$output"
}

reports=()
flags=()
for bundle in "${bundles[@]}"; do
    root=bundles/$bundle
    demo=""
    if [ -e "$root/configs/demo.json" ]; then
        demo=demo
        echo "== $bundle: with $root/configs/demo.json, a smaller network than the bundle's own"
    fi
    echo "== $bundle: prepare"
    "$python" scripts/prepare.py "$bundle" --phantom
    echo "== $bundle: training"
    monai training train
    second=$repository/$root/models/seed_1
    if [[ " $twice " == *" $bundle "* ]]; then
        stage "training from another seed" "$second/model.pt" "$root/models/model.pt" again
    fi
    stage calibrating "$root/models/calibration.json" "$root/models/model.pt" monai calibrating train calibrate
    stage evaluating "$root/eval/metrics.json" "$root/models/calibration.json" monai evaluating train evaluate
    stage explaining "$root/eval/explanations/index.json" "$root/eval/metrics.json" explain
    if [ -e "$root/configs/repeatability.json" ]; then
        stage repeating "$root/eval/repeatability.json" "$root/models/calibration.json" \
            monai repeating inference repeatability
    fi
    reports+=("$repository/$root/eval/report.html")
done
echo
echo "Reports:"
printf '  %s\n' "${reports[@]}"

#!/usr/bin/env bash
# Linter, formatter, types, all tests. Arguments go to pytest: ./scripts/test.sh tests/shared -k temperature
set -euo pipefail

case "${1:-}" in
-h | --help)
    echo "Usage: ./scripts/test.sh [ARGUMENTS OF PYTEST]    linter, formatter, types, all tests (or those chosen, e.g. tests/shared -k temperature)"
    exit
    ;;
esac

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$repository/scripts/environment.sh"
. "$repository/scripts/label_environment.sh"

prepare_environment "$repository/requirements-dev.txt"
cd "$repository"
# a server that cannot be set up does not keep the rest from being tested, and is no success either
label_environment=there
prepare_label_environment || label_environment=missing

echo "== ruff"
"$python" -m ruff check .
"$python" -m ruff format --check .
echo "== mypy"
"$python" -m mypy shared
for bundle in bundles/*/; do
    # every bundle calls its package 'scripts': one run each
    MYPYPATH="$repository:$bundle" "$python" -m mypy --package scripts
done
# a benchmark imports the package "scripts" of the bundle that it names, if any
for bundle in bundles/*/; do
    name=$(basename "$bundle")
    mapfile -t files < <(grep -lx "BUNDLE = \"$name\"" scripts/benchmarks/*.py || true)
    [ ${#files[@]} -eq 0 ] || MYPYPATH="$repository:$bundle" "$python" -m mypy "${files[@]}"
done
mapfile -t files < <(grep -L '^BUNDLE = ' scripts/benchmarks/*.py)
"$python" -m mypy scripts/*.py "${files[@]}"
# the MONAI Label app has a module path of its own
MYPYPATH="$repository/scripts/label_app" "$python" -m mypy --package lib
MYPYPATH="$repository/scripts/label_app" "$python" -m mypy scripts/label_app/main.py scripts/label_app/server.py
echo "== pytest"
# one computing thread for each of the parallel workers: more only wait for each other
OMP_NUM_THREADS=1 "$python" -m pytest --numprocesses 2 --dist worksteal "$@"
if [ "$label_environment" = missing ]; then
    echo "Error: the environment of the MONAI Label server could not be set up (the reason is printed at the start), so the" >&2
    echo "tests that need it were skipped: all of tests/scripts/label_app that talk to a real server." >&2
    exit 1
fi

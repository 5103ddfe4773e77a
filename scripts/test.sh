#!/usr/bin/env bash
# Linter, formatter, types, all tests. Arguments go to pytest: ./scripts/test.sh tests/shared -k temperature
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$repository/scripts/environment.sh"

prepare_environment "$repository/requirements-dev.txt"
cd "$repository"

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
echo "== pytest"
# one computing thread for each of the parallel workers: more only wait for each other
OMP_NUM_THREADS=1 "$python" -m pytest --numprocesses 2 --dist worksteal "$@"

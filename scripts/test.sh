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
MYPYPATH="$repository:bundles/leukocyte_qpi" "$python" -m mypy scripts/*.py scripts/benchmarks/*.py
echo "== pytest"
# one computing thread for each of the parallel workers: more only wait for each other
OMP_NUM_THREADS=1 "$python" -m pytest --numprocesses 2 --dist worksteal "$@"

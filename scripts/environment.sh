# Sourced by demo.sh and test.sh: makes the repository's own environment (.venv) when it is missing or out of date.
# Usage: prepare_environment REQUIREMENTS_FILE; afterwards "$python" is its interpreter.

prepare_environment() {
    local requirements=$1
    local venv="$repository/.venv"
    python="$venv/bin/python"
    local wanted
    wanted=$(cat "$repository"/requirements*.txt "$repository/pyproject.toml" | cksum | tr -d ' ')-$(basename "$requirements" .txt)

    if [ -f "$venv/.installed" ] && grep -qx "$wanted" "$venv/.installed"; then
        return
    fi
    if [ ! -x "$python" ]; then
        local base="" candidate
        for candidate in python3.12 python3.13 python3.11 python3; do
            if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
                base=$candidate
                break
            fi
        done
        if [ -z "$base" ]; then
            echo "No Python 3.11, 3.12 or 3.13 found on the PATH: install one and try again." >&2
            exit 1
        fi
        echo "Making the environment in .venv with $("$base" --version)" >&2
        "$base" -m venv "$venv"
    fi
    echo "Installing $(basename "$requirements") (several minutes the first time)" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --editable "$repository"
    # the development requirements contain the others
    echo "$wanted" >"$venv/.installed"
    case "$wanted" in
    *-requirements-dev) echo "${wanted%-dev}" >>"$venv/.installed" ;;
    esac
}

# Sourced by serve.sh and test.sh: makes the environment of the MONAI Label server (.venv-label) when it is missing or out
# of date. Usage: prepare_label_environment; afterwards "$label_python" is its interpreter. Returns 1, and says why, if
# that is not possible.

prepare_label_environment() {
    local requirements="$repository/scripts/label_app/requirements.txt"
    local venv="$repository/.venv-label"
    label_python="$venv/bin/python"
    local wanted
    wanted=$(cksum <"$requirements" | tr -d ' ')

    if [ -f "$venv/.installed" ] && [ "$(cat "$venv/.installed")" = "$wanted" ]; then
        return
    fi
    if [ ! -x "$label_python" ]; then
        local base="" candidate
        for candidate in python3.11 python3.12 python3; do
            if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
                base=$candidate
                break
            fi
        done
        if [ -z "$base" ]; then
            echo "The MONAI Label server needs Python 3.11 or 3.12 on the PATH (monailabel 0.8.5 needs numpy 1)." >&2
            return 1
        fi
        echo "Making the environment in .venv-label with $("$base" --version)" >&2
        "$base" -m venv "$venv" || return 1
    fi
    echo "Installing scripts/label_app/requirements.txt (some minutes the first time)" >&2
    # --no-deps: the file lists all that is imported, and says what is left out
    if ! "$label_python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"; then
        echo "The environment of the MONAI Label server could not be installed: see pip's message above." >&2
        return 1
    fi
    if ! "$label_python" -c 'import monailabel.interfaces.app, monailabel.client' >&2; then
        echo "The environment of the MONAI Label server is installed, but monailabel cannot be imported: see above." >&2
        return 1
    fi
    echo "$wanted" >"$venv/.installed"
}

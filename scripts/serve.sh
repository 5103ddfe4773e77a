#!/usr/bin/env bash
# Serves the trained bundles by MONAI Label, on this machine only unless --host says otherwise.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$repository/scripts/environment.sh"
. "$repository/scripts/label_environment.sh"

usage() {
    cat <<EOF
Usage: ./scripts/serve.sh [--models NAME,NAME…] [--studies DIR] [--host ADDRESS] [--port NUMBER] [OPTION…]

Sets up the two environments (.venv and .venv-label) if they are not there and starts a MONAI Label server.

  --models   bundles to serve (default: all that are trained and calibrated)
  --studies  folder of the datastore: images, and the labels that people give them (default: label_data); one folder
             for each kind of data
  --host     address to listen on (default: 127.0.0.1, which other machines cannot reach)
  --port     default: 8000

Further options go to "monailabel start_server": --ssl_certfile FILE --ssl_keyfile FILE, and --conf KEY VALUE with
  bundles DIR            folder of the bundles (default: bundles)
  hosts NAME,NAME…       names by which the server may be addressed (default with 127.0.0.1: 127.0.0.1 and localhost)
  max_upload_mb N        greatest size of a request (default: 1024)
  max_archive_mb N       greatest size of an archive, unpacked (default: 1024)
  max_archive_files N    greatest number of files in one (default: 5000)
  timeout_s N            greatest time of an answer (default: 600)

Authentication by OpenID: see the README.
EOF
}

studies="$repository/label_data" host=127.0.0.1 port=8000 models="" hosts="" bundles="$repository/bundles"
rest=()
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help) usage && exit ;;
    --models | --studies | --host | --port)
        if [ $# -lt 2 ]; then echo "$1 needs a value." >&2 && exit 2; fi
        declare "${1#--}=$2"
        shift 2
        ;;
    --conf)
        if [ $# -lt 3 ]; then echo "--conf needs a key and a value." >&2 && exit 2; fi
        case "$2" in
        hosts) hosts=$3 ;;
        bundles) bundles=$3 ;;
        esac
        rest+=("$1" "$2" "$3")
        shift 3
        ;;
    *)
        rest+=("$1")
        shift
        ;;
    esac
done

prepare_environment "$repository/requirements.txt"
prepare_label_environment
# images of patients, labels and sessions are nobody else's on this machine
umask 077
mkdir -p "$studies"
studies=$(cd "$studies" && pwd)
cd "$repository"

# weights whose exchange was killed stand under another name: the server is to find them
"$python" -c 'import sys; from shared.data.files import restore_folder
for bundle in sys.argv[1:]: restore_folder(f"{bundle}models")' "$bundles"/*/

conf=(--conf zoo_source local --conf python "$python")
[ -z "$models" ] || conf+=(--conf models "$models")
case "$host" in
127.* | localhost | ::1) [ -n "$hosts" ] || conf+=(--conf hosts "$host,127.0.0.1,localhost") ;;
esac
export MONAI_LABEL_TRACKING_ENABLED=false PYTHONPATH="$repository/scripts/label_app" OMP_WAIT_POLICY=PASSIVE
exec "$label_python" -m monailabel.main start_server --app "$repository/scripts/label_app" --studies "$studies" \
    --uvicorn_app server:app --host "$host" --port "$port" "${conf[@]}" ${rest[@]+"${rest[@]}"}

#!/bin/sh
# Serves the course from inside a container (docs/anywhere.md); arguments are passed to `gqa lab`.
#   PORT        where to listen (default: 7860)
#   GQA_TOKEN   what to log in with (default: a new one each time, in the address that is printed)
#   SPACE_HOST  the name by which browsers reach it; a Hugging Face Space sets it
set -eu
cd "$(dirname "$0")/.."

for folder in "${GQA_HOME:-}" "${GQA_WORK:-}"; do
    [ -n "$folder" ] || continue
    if ! mkdir -p "$folder" 2>/dev/null || ! [ -w "$folder" ]; then
        echo "$folder cannot be written by the user $(id -u), so nothing would be kept. Mount a volume whose owner is $(id -u), as in: docker run -v gqa:/data ..." >&2
        exit 1
    fi
done
[ -z "${SPACE_HOST:-}" ] || set -- --host "$SPACE_HOST" "$@"
exec .venv/bin/gqa lab --no-browser --ip 0.0.0.0 --port "${PORT:-7860}" "$@"

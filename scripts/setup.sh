#!/bin/sh
# Makes .venv and installs the course into it. Does nothing when nothing changed.
#   scripts/setup.sh course|site|test    PYTHON and PIP_ARGS are passed through
set -eu
cd "$(dirname "$0")/.."
extra=${1:-course}
log=.venv/setup.log

stop() {
    printf '\nSet-up stopped: %s\n' "$1" >&2
    exit 1
}

recent() { # recent PYTHON: is it 3.11 or newer?
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ] && ! command -v "$PYTHON" >/dev/null 2>&1; then
        stop "PYTHON=$PYTHON is not there. Name a Python 3.11 or newer, or leave PYTHON out."
    fi
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && recent "$candidate" && { echo "$candidate"; return; }
    done
    if command -v "${PYTHON:-python3}" >/dev/null 2>&1; then
        stop "the course needs Python 3.11 or newer, and $(command -v "${PYTHON:-python3}") is $("${PYTHON:-python3}" --version 2>&1). Install a newer one (Debian, Ubuntu: sudo apt install python3.11 python3.11-venv) or name it: make lab PYTHON=/path/to/python3.11"
    fi
    stop "no Python was found. Install it (Debian, Ubuntu: sudo apt install python3 python3-venv) and run the same command again."
}

wanted="$(cat pyproject.toml constraints.txt | cksum) $(pwd) ${PIP_ARGS:-}"
case $extra in # what the tests need contains what the site needs, and that what the course needs
    course) enough="course site test" ;;
    *) enough="$extra test" ;;
esac
for done_extra in $enough; do
    if [ "$(cat ".venv/installed-$done_extra" 2>/dev/null)" = "$wanted" ] &&
        .venv/bin/python -c 'import gqa_lib' 2>/dev/null; then exit 0; fi
done

python=$(find_python) || exit 1
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge "${GQA_MIN_FREE_MB:-3000}" ] || stop "only $free_mb MB are free on this disk. The course needs about 3 GB with a CPU build of torch and about 9 GB with a GPU build. Free some space and run the same command again."

if [ "$(cat .venv/made-in 2>/dev/null)" != "$(pwd)" ] ||
    ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Making .venv with $("$python" --version) ..."
    "$python" -m venv --clear .venv >/dev/null 2>&1 || stop "Python's venv module does not work here. Debian and Ubuntu keep it in a package of its own: sudo apt install python3-venv. Then run the same command again."
    pwd >.venv/made-in
fi

cat <<'SAY'
Installing the course into .venv ... (2 to 10 minutes; .venv/setup.log says how far it is)
  torch is the large part: about 200 MB to download as a CPU build, 2-3 GB where pip takes the
  GPU build (on Linux that is the default). To choose, pass options on to pip, for example
  make lab PIP_ARGS="--extra-index-url ADDRESS" with the CPU address from PyTorch's install page.
SAY
# shellcheck disable=SC2086  # PIP_ARGS is several words on purpose
if ! .venv/bin/python -m pip install --disable-pip-version-check --no-compile \
    ${PIP_ARGS:-} -c constraints.txt -e ".[$extra]" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    if grep -qi 'no space left' "$log"; then
        stop "the disk filled up. Free some space and run the same command again; it goes on where it stopped."
    elif grep -qiE 'connection|timed out|name resolution|unreachable|proxy|ssl' "$log"; then
        stop "pip could not reach its package index. Check the network (or the proxy) and run the same command again; what was downloaded is kept. Details: $log"
    fi
    stop "pip could not install the packages; its last lines are above and all of them in $log."
fi
# pip would compile on one core. Some packages have files that are meant not to compile.
.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || :
echo "$wanted" >".venv/installed-$extra"
echo "Installed."

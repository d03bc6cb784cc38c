#!/bin/sh
# Installs the Debian packages that tests need, where they are missing: for class grading
# bubblewrap, the sandbox, and postgresql, a database server; for JupyterLab in a browser chromium,
# with fonts for its screenshots; for sweeps Slurm, whose services start only where /etc/slurm has a
# slurm.conf. Says nothing when all are there.
set -eu
wanted="bubblewrap postgresql chromium fonts-dejavu-core slurmctld slurmd slurm-client"

missing=
for package in $wanted; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null |
        grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "These packages are missing:$missing. This script installs Debian's; here, install what your system calls them. Without them the tests that need them are skipped." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "These packages are missing:$missing. Only root can install them: sudo scripts/system-packages.sh" >&2
    exit 1
fi
echo "Installing$missing with apt-get ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # several packages on purpose
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
echo "Installed$missing."

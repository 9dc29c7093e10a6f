#!/usr/bin/env bash
# Check everything: ruff, shellcheck and pytest, each of them even where an earlier one fails. Installs what is missing.
#
#   tools/test.sh                              all, in as many processes as there are cores, with one thread each
#   tools/test.sh tests/toolkit -k layout      arguments go to pytest; paths start at the root of the checkout
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/tools/install.sh" egs test
use_own_tree
cd "$ROOT"

failed=0
check() { # NAME COMMAND...
    echo "== $1"
    "${@:2}" || { failed=1 && echo "== $1 FAILED"; }
}

check ruff ruff check --quiet
check shellcheck find . \( -name '.?*' ! -name .ci -o -name corpus -o -name data -o -name exp \) -prune -o \
    \( -name '*.sh' -o -path './.ci/*' -type f \) -exec shellcheck --external-sources --source-path=SCRIPTDIR {} +
if [ $# -eq 0 ]; then
    export OMP_NUM_THREADS=1
    set -- --numprocesses auto --maxprocesses 4 --dist loadfile
fi
echo "== pytest" # last and with nothing after it: its summary is the last line
python -m pytest "$@" || failed=1
exit $failed

#!/usr/bin/env bash
# Check everything: ruff, shellcheck and pytest, each of them even where an earlier one fails. Installs what is missing.
#
#   tools/test.sh                              all
#   tools/test.sh tests/toolkit -k layout      arguments go to pytest; paths start at the root of the checkout
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/tools/install.sh" egs test
export PATH="$ENVIRONMENT/bin:$PATH"
cd "$ROOT"

failed=0
run() {
    echo "== $1"
    "$@" || { failed=1 && echo "== $1 FAILED"; }
}
shell_files() {
    find . \( -name '.?*' ! -name .ci -o -name exp -o -name corpus -o -name data \) -prune -o \( -name '*.sh' -o -path './.ci/run' \) -print
}

run ruff check --quiet
mapfile -t files < <(shell_files)
run shellcheck --external-sources --source-path=SCRIPTDIR "${files[@]}"
echo "== pytest" # last, and silent after it: its summary is the last line
python -m pytest "$@" || failed=1
exit $failed

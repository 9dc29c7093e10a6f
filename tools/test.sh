#!/usr/bin/env bash
# Check everything: ruff, shellcheck, mypy and pytest, each of them even if an earlier one fails. Installs what is missing.
#
#   tools/test.sh                              all, in as many processes as there are cores, with one thread each
#   tools/test.sh tests/toolkit -k layout      arguments go to pytest; paths start at the root of the checkout
#   tools/test.sh --all                        the documentation too: the notebook is executed in build/tutorial, minutes, and the
#                                              site built offline in build/site, warnings are errors
#   tools/test.sh --lowest                     with the lowest versions that setup.cfg allows, in .venv-lowest
#   tools/test.sh --newest                     with the newest, in .venv-newest; each of the three takes arguments too
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

make_environment_at() { # END of the ranges, RESOLUTION of uv
    "$ROOT/tools/install.sh" install
    local uv=$ENVIRONMENT/bin/uv base=$ENVIRONMENT/bin/python
    ENVIRONMENT=$ROOT/.venv-$1
    echo "== $ENVIRONMENT: every direct requirement at its $1 version"
    cd "$ROOT"
    [ -x "$ENVIRONMENT/bin/python" ] || "$uv" venv --quiet --seed --python "$base" "$ENVIRONMENT"
    export UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1 # as in install.sh
    local compiled=(numpy scipy matplotlib sentencepiece av) # their lowest versions have no wheel for the newest Pythons
    "$uv" pip install --quiet --python "$ENVIRONMENT/bin/python" --upgrade --resolution "$2" "${compiled[@]/#/--only-binary=}" \
        -r setup.cfg --extra egs --extra test
    "$uv" pip install --quiet --python "$ENVIRONMENT/bin/python" --no-deps --no-build-isolation --editable .
    export VIRTUAL_ENV=$ENVIRONMENT # for the scripts that tests run
}

documentation=no
types=yes # but not at the ends of the ranges: other versions of libraries declare other types
case ${1-} in
--lowest) make_environment_at lowest lowest-direct && types=no && shift ;;
--newest) make_environment_at newest highest && types=no && shift ;;
--all) "$ROOT/tools/install.sh" egs test docs && documentation=yes && shift ;;
*) "$ROOT/tools/install.sh" egs test ;;
esac
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
if [ "$types" = yes ]; then check mypy mypy --no-error-summary; fi # of the modules that setup.cfg lists
if [ "$documentation" = yes ]; then
    rm -rf build/tutorial build/tutorial.ipynb && mkdir -p build
    # before the site, which shows what the cells printed; the path of the output starts in docs
    check tutorial jupyter execute --output=../build/tutorial.ipynb docs/tutorial.ipynb
    check documentation env NO_MKDOCS_2_WARNING=1 mkdocs build --strict
fi
if [ $# -eq 0 ]; then
    export OMP_NUM_THREADS=1
    # In the order of the files, not those of most tests first: the longest, of a few tests each, come early.
    set -- --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
fi
echo "== pytest" # last and with nothing after it: its summary is the last line
python -m pytest "$@" || failed=1
exit $failed

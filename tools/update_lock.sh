#!/usr/bin/env bash
# Renew requirements.lock within the ranges of setup.cfg, run the tests on the result, and say what changed.
#
#   tools/update_lock.sh                   everything, to the newest versions
#   tools/update_lock.sh --keep            only what a change of setup.cfg needs
#   tools/update_lock.sh torch==2.14.1     to the newest versions, but these
#
# The tests run in an environment of their own, .venv-lock. If they fail, the old lock comes back, and the new one stays
# beside it as requirements.lock.failed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/tools/install.sh" install
cd "$ROOT"
PATH=$ENVIRONMENT/bin:$PATH
lock=requirements.lock
old=$(mktemp)
trap 'rm -f "$old"' EXIT
cp "$lock" "$old"

upgrade=(--upgrade)
if [ "${1-}" = --keep ]; then upgrade=() && shift; fi
extras=()
# Without vLLM, which asks for a torch of its own.
while read -r extra; do [ "$extra" = vllm ] || extras+=(--extra "$extra"); done < <(
    sed -n '/^\[options.extras_require\]/,/^\[options.entry/s/^\([a-z_-]*\) *=.*/\1/p' setup.cfg
)
printf '%s\n' "$@" | uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
    ${upgrade[@]+"${upgrade[@]}"} "${extras[@]}" --constraints - --output-file "$lock" setup.cfg

pins() { sed -n 's/^\([A-Za-z0-9][^ ]*==[^ ]*\( ; [^\\]*\)\{0,1\}\).*/\1/p' "$1"; }
if changes=$(diff <(pins "$old") <(pins "$lock")); then
    echo "update_lock.sh: nothing changed"
    exit
fi
sed -n 's/^\([<>]\)/\1/p' <<<"$changes"
rm -rf .venv-lock
uv venv --quiet --seed --python "$(command -v python)" .venv-lock
if ! VIRTUAL_ENV=$ROOT/.venv-lock tools/test.sh; then
    mv "$lock" "$lock.failed"
    cp "$old" "$lock"
    echo "update_lock.sh: the tests failed; $lock is as it was, the new one is $lock.failed" >&2
    exit 1
fi
echo "update_lock.sh: $lock is renewed, the tests passed:"
sed -n 's/^\([<>]\)/\1/p' <<<"$changes"

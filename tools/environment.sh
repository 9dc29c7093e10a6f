# Source this: sets ROOT, the checkout, and ENVIRONMENT, the environment of auralign and its Python; use_own_tree goes to work there.
#
# ENVIRONMENT is the active virtual environment, else the active conda environment, else .venv at ROOT. Conda's `base`
# does not count: conda itself runs on it, and it is active without anybody's doing.
# shellcheck shell=bash disable=SC2034
ROOT=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ -n "${VIRTUAL_ENV:-}" ]; then
    ENVIRONMENT=$VIRTUAL_ENV
elif [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-}" != base ]; then
    ENVIRONMENT=$CONDA_PREFIX
else
    ENVIRONMENT=$ROOT/.venv
fi

# The Python of ENVIRONMENT first, and in it the packages and methods of this checkout, whatever checkout is installed there.
use_own_tree() {
    export PATH="$ENVIRONMENT/bin:$PATH"
    export PYTHONPATH="$ROOT/toolkit${PYTHONPATH:+:$PYTHONPATH}"
}

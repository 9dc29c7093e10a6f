# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
#
# Source this: installs what is missing, with the extras of setup.cfg that EXTRAS names, and puts the Python that has auralign
# first on PATH.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/environment.sh"
# shellcheck disable=SC2086 # one word an extra
"$ROOT/tools/install.sh" egs ${EXTRAS:-}
use_own_tree
export PYTHONUNBUFFERED=1                         # a log shows lines as they come, in their order
export TOKENIZERS_PARALLELISM=false               # or each fork after tokenising prints a warning

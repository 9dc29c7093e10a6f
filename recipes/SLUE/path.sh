# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
#
# Source this: installs what is missing, and puts the Python that has auralign first on PATH.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/environment.sh"
"$ROOT/tools/install.sh" egs
export PATH="$ENVIRONMENT/bin:$PATH"
export PYTHONUNBUFFERED=1                         # a log shows lines as they come, in their order
export TOKENIZERS_PARALLELISM=false               # or each fork after tokenising prints a warning
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"      # models are folders; nothing is fetched from a hub

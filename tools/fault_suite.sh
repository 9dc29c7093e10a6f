#!/usr/bin/env bash
# Attack auralign: kills at every file event, flipped bits, signals, full disks, hostile YAMLs, plugins, model folders and transcripts.
#
#   tools/fault_suite.sh                       all classes; each writes its row into RELIABILITY.md when it is finished
#   tools/fault_suite.sh --only kills,flips    some classes, such as those that an interrupted run left
#   tools/fault_suite.sh --limit 120           at most so many tries of each class, drawn from all of it
#   tools/fault_suite.sh --fast                a part of each in less than a minute, as tools/test.sh runs it
#   tools/fault_suite.sh --soak 2              all classes again and again, with other seeds, for two hours
#
# Everything is written below a temporary folder, but for RELIABILITY.md, and nothing leaves this machine.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
use_own_tree
export PYTHONPATH="$ROOT/tests:$PYTHONPATH" OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec python -m faults "$@"

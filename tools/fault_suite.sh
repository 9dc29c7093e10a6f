#!/usr/bin/env bash
# Attack auralign: kills at every file event and of ranks, damaged and replaced files, signals, clock steps, full disks, two starts at
# once, overflow, hostile YAMLs, plugins, model folders and transcripts.
#
#   tools/fault_suite.sh                       all classes, those excepted that have figures of this commit in RELIABILITY.md: each
#                                              writes its row when it is finished, so an interrupted run goes on with the next
#   tools/fault_suite.sh --only kills,flips    some classes, whether they have figures or not
#   tools/fault_suite.sh --jobs 1              in one process (default: 2)
#   tools/fault_suite.sh --limit 120           at most so many tries of each class, drawn from all of it
#   tools/fault_suite.sh --fast                a part of nine classes in less than a minute, as tools/test.sh runs it
#   tools/fault_suite.sh --soak 2              all classes again and again, with other seeds, for two hours
#
# Everything is written below a temporary folder, in memory if there is /dev/shm, but for RELIABILITY.md; nothing leaves this machine.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
use_own_tree
export PYTHONPATH="$ROOT/tests:$PYTHONPATH" OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec python -m faults "$@"

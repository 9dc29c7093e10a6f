#!/usr/bin/env bash
# run_shards.sh NUM NODES COMMAND...: runs COMMAND in NUM processes at once, each with its --shard, and waits for all of them.
#
# On each of several nodes of a job of Slurm, srun runs it once. If there are GPUs, each process sees one of them. SIGTERM and SIGUSR1 are sent on to all. The code is that of the first shard that
# failed; if none failed but signals stopped some, 75 (see recipes/*/cmd.sh). The same command goes on with what is not finished.
set -uo pipefail
# shellcheck source=tools/signals.sh
. "$(dirname "${BASH_SOURCE[0]}")/signals.sh"

num=$1 nodes=$2 && shift 2
first=$((nodes > 1 ? num * SLURM_NODEID : 0))
if [ -n "${CUDA_VISIBLE_DEVICES+is set}" ]; then
    IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
else
    mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)
fi
cores=$(nproc)
# Processes that each use all cores wait for one another.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((cores > num ? cores / num : 1))}"

children=()
for ((number = 0; number < num; number++)); do
    (
        trap - INT TERM USR1
        [ ${#gpus[@]} -eq 0 ] || export CUDA_VISIBLE_DEVICES="${gpus[$((number % ${#gpus[@]}))]}"
        exec "$@" --shard "$((first + number + 1))/$((num * nodes))"
    ) <&0 &
    children+=($!)
done
failed=0
for child in "${children[@]}"; do
    wait_for "$child" && code=0 || code=$?
    if [ "$failed" -eq 0 ] || { [ "$failed" -eq 75 ] && [ "$code" -ne 0 ]; }; then failed=$code; fi
done
exit "$(code_of "$failed")"

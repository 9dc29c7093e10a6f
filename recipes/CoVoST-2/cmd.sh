# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
#
# Source this after path.sh: `launch NUM_GPUS SCRIPT ARGUMENTS...` runs a Python script of the recipe on the machines that $launcher names.
#
#   local    on this machine
#   slurm    on a node of the cluster, with what the variables below ask for; waits for it, and shows what it prints
#
# Several GPUs get a process each: of train.py as from torchrun, with --device cuda; of generate.py and decode.py one shard each, whose
# results are joined (tools/run_shards.sh; without GPUs that many processes on the CPU). The other scripts use one process.
#
# SIGTERM and SIGUSR1 are sent on to the script: it keeps what it has done and exits with 75. If Slurm stopped it, it is
# started again: with `scontrol requeue` if run.sh is itself a job of Slurm, else by another srun. To cancel a run, end run.sh and not
# its srun. Such jobs, which ask for a warning 300 s before the end of their time, are, in a recipe's folder:
#
#   sbatch --requeue --signal=B:USR1@300 --gpus 1 --wrap "exec ./run.sh ..."
#   sbatch --requeue --signal=B:USR1@300 --nodes 2 --gpus-per-node 8 --wrap "exec ./run.sh --ngpus 8 ..."      stages 2 to 4 on 16 GPUs
#   sbatch --requeue --signal=B:USR1@300 --array 1-16 --gpus 1 --wrap "exec ./run.sh --stage 2 --stop-stage 2 ..."   a shard each
# shellcheck shell=bash
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../tools" && pwd)
# shellcheck source=tools/signals.sh
. "$tools/signals.sh"

slurm_partition=     # empty: the cluster's default
slurm_time=24:00:00  # limit of one run; what it cuts off goes on when run again
slurm_memory=64G     # of the node's memory, not the GPU's
slurm_cpus=8         # for each GPU, or for a script without one
num_shards=${NUM_SHARDS:-} # if an array holds only some of the shards, as --array 3,7; empty: the size of the array
rendezvous_port=29400      # of the first node, for a training on several
slurm_options=()     # more of srun's, such as (--account=speech --constraint=h100)

stopped=75 # the code of a script that a signal stopped

launch() { # NUM_GPUS SCRIPT ARGUMENTS...
    local gpus=$1 nodes=${SLURM_NNODES:-1} command=(python) shard=() slurm_gpus=() code
    case $gpus in
    '' | *[!0-9]*) echo "launch: the number of GPUs is '$gpus'; give a number" >&2 && return 2 ;;
    esac
    [ "$gpus" -gt 0 ] && [ -z "${SLURM_ARRAY_TASK_ID:-}" ] && [ "${launcher:-local}" = local ] || nodes=1
    case $2 in
    generate.py | decode.py)
        if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
            shard=(--shard "$SLURM_ARRAY_TASK_ID/${num_shards:-$SLURM_ARRAY_TASK_COUNT}")
        elif [ "$((gpus * nodes))" -gt 1 ]; then
            command=("$tools/run_shards.sh" "$gpus" "$nodes" python)
        fi
        ;;
    *)
        if [ "$nodes" -gt 1 ]; then
            command=(python -m auralign.train.torchrun --nnodes "$nodes" --nproc-per-node "$gpus" --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID"
                --rdzv-endpoint "$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p):$rendezvous_port")
        elif [ "$gpus" -gt 1 ]; then
            command=(python -m auralign.train.torchrun --standalone --nproc-per-node "$gpus")
        fi
        ;;
    esac
    [ "$nodes" -eq 1 ] || command=(srun --nodes "$nodes" --ntasks "$nodes" --ntasks-per-node 1 "${command[@]}")
    case ${launcher:-local} in
    local) ;;
    slurm)
        [ "$gpus" -eq 0 ] || slurm_gpus=(--gpus "$gpus")
        command=(srun --job-name "${2%.py}" --nodes 1 --ntasks 1 --cpus-per-task $((slurm_cpus * (gpus > 1 ? gpus : 1)))
            ${slurm_gpus[@]+"${slurm_gpus[@]}"} --mem "$slurm_memory" --time "$slurm_time" ${slurm_partition:+--partition "$slurm_partition"}
            ${slurm_options[@]+"${slurm_options[@]}"} "${command[@]}")
        ;;
    *) echo "launch: no launcher '$launcher'; known: local, slurm" >&2 && return 2 ;;
    esac
    while :; do
        run_marked "${command[@]}" "${@:2}" ${shard[@]+"${shard[@]}"} && return 0 || code=$?
        [ "$code" -eq "$stopped" ] || return "$code"
        if [ -n "${SLURM_JOB_ID:-}" ]; then
            echo "launch: $2 was stopped; job $SLURM_JOB_ID is queued again" >&2
            scontrol requeue "$SLURM_JOB_ID" || echo "launch: not queued again; run the same command again to go on" >&2
            return "$code"
        fi
        [ "${launcher:-local}" = slurm ] && [ -z "$SIGNALLED" ] || return "$code"
        echo "launch: Slurm stopped $2; it is started again" >&2
    done
}

run_marked() { # COMMAND...; its code, or 75 if train.py says so in a file, as another process may have failed before it
    local code=0 mark=$PWD/.stopped.$$
    AURALIGN_STOPPED=$mark forward "$@" || code=$?
    [ ! -e "$mark" ] || code=$stopped
    rm -f "$mark"
    return "$code"
}

# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
#
# Source this after path.sh: `launch NUM_GPUS SCRIPT ARGUMENTS...` runs a Python script of the recipe on the machines that $launcher names.
#
#   local    on this machine
#   slurm    on a node of the cluster, with what the variables below ask for; waits for it, and shows what it prints
#
# Several GPUs get a process each, as from torchrun: for train.py, with --device cuda. The other scripts use one.
#
# SIGTERM and SIGUSR1 are sent on to the script: train.py then writes a checkpoint and exits with 75. If Slurm stopped it, it is
# started again: with `scontrol requeue` if run.sh is itself a job of Slurm, for which `sbatch --requeue --signal=B:USR1@300 run.sh`
# asks for a warning 300 s before the end of its time; else by another srun. To cancel a run, end run.sh and not its srun.
# shellcheck shell=bash
# shellcheck source=tools/signals.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/signals.sh"

slurm_partition=     # empty: the cluster's default
slurm_time=24:00:00  # limit of one run; what it cuts off goes on when run again
slurm_memory=64G     # of the node's memory, not the GPU's
slurm_cpus=8         # for each GPU, or for a script without one
slurm_options=()     # more of srun's, such as (--account=speech --constraint=h100)

stopped=75 # the code of a training that a signal stopped

launch() { # NUM_GPUS SCRIPT ARGUMENTS...
    local gpus=$1 command=(python) slurm_gpus=() code
    case $gpus in
    '' | *[!0-9]*) echo "launch: the number of GPUs is '$gpus'; give a number" >&2 && return 2 ;;
    esac
    [ "$gpus" -le 1 ] || command=(python -m auralign.train.torchrun --standalone --nproc-per-node "$gpus")
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
        run_marked "${command[@]}" "${@:2}" && return 0 || code=$?
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

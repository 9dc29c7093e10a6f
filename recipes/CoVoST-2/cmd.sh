# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
#
# Source this after path.sh: `launch NUM_GPUS SCRIPT ARGUMENTS...` runs a Python script of the recipe on the machines that $launcher names.
#
#   local    on this machine
#   slurm    on a node of the cluster, with what the variables below ask for; waits for it, and shows what it prints
#
# Several GPUs get a process each, from torchrun: for train.py, with --device cuda. The other scripts use one.
# shellcheck shell=bash

slurm_partition=     # empty: the cluster's default
slurm_time=24:00:00  # limit of one run; what it cuts off goes on when run again
slurm_memory=64G     # of the node's memory, not the GPU's
slurm_cpus=8         # for each GPU, or for a script without one
slurm_options=()     # more of srun's, such as (--account=speech --constraint=h100)

launch() { # NUM_GPUS SCRIPT ARGUMENTS...
    local gpus=$1 command=(python) slurm_gpus=()
    case $gpus in
    '' | *[!0-9]*) echo "launch: the number of GPUs is '$gpus'; give a number" >&2 && return 2 ;;
    esac
    [ "$gpus" -le 1 ] || command=(torchrun --standalone --nproc-per-node "$gpus")
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
    "${command[@]}" "${@:2}"
}

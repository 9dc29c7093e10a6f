#!/usr/bin/env bash
# Give a tiny LLM ears, on spoken digits: three alignment methods, compared at the end in the gap ledger.
#
#   ./run.sh                                          all: minutes on a laptop, no download but the Python packages
#   ./run.sh --experiment sift --stage train          one method (or sit,sift), from stage train on
#   ./run.sh --stage 3 --stop-stage 3 -- --lr 3e-4 --restart    one stage; what follows -- goes to the Python of stages 2 to 5;
#                                                     --restart trains in train_2 and keeps what was trained before
#   ./run.sh --speech recorded --corpus DIR           on recordings: DIR holds <digit>_<speaker>_<take>.wav or .flac
#   ./run.sh --experiment drift [--quick]             an experiment of experiments.yaml; resumes; its results are in RESULTS.md,
#                                                     with --speech recorded in RESULTS.recorded.md
#   ./run.sh --rebuild-models                         train models/ again first (recorded: the encoder alone)
#
# Stages: 0 corpus, 1 prepare, 2 generate, 3 train, 4 decode, 5 score; an experiment of experiments.yaml has its own after 1. A finished one is skipped, a broken one resumed.
set -euo pipefail

stage=corpus         # first stage to run, by number or name
stop_stage=score     # last stage to run
experiment=          # names of files in hparams/, or in experiments.yaml, separated by commas; empty: transcription,sit,sift
quick=false          # one LLM, one connector and the arms under `quick` of an experiment of experiments.yaml: ten minutes
speech=synthetic     # synthetic or recorded
corpus=              # folder of recordings, for --speech recorded
rebuild_models=false # train the models again in stage 0; takes up to 20 minutes
. "$(dirname "$0")/../../tools/parse_options.sh"

options=(--speech "$speech") # of the Python of stages 2 to 5
recordings=()
models=(--output models)
case $speech in
synthetic) [ -z "$corpus" ] || usage_error "--corpus is for --speech recorded" ;;
recorded)
    [ "$stage" -gt 0 ] || [ -d "$corpus" ] || usage_error "--speech recorded needs --corpus DIR; no folder at '$corpus'"
    recordings=(--corpus "$(CDPATH='' cd -- "${corpus:-.}" && pwd)")
    models=(--output exp/recorded/models) # skipped if they are there; --force makes them again
    ! $rebuild_models || models+=(--force)
    options+=(--encoder_folder exp/recorded/models/encoder)
    ;;
*) usage_error "--speech is synthetic or recorded, not '$speech'" ;;
esac
! $rebuild_models || [ "$stage" -eq 0 ] || usage_error "--rebuild-models belongs to stage 0; leave out --stage"
cd "$(dirname "$0")"
name=${experiment%%,*}
registered=false
if [ -n "$name" ] && [ ! -f "hparams/$name.yaml" ] && grep -qsxF "  $name:" experiments.yaml; then
    registered=true
    ! are_given stop_stage || usage_error "--experiment $name has no stages after 1; leave out --stop-stage"
else
    ! $quick || usage_error "--quick needs --experiment with a name in experiments.yaml, such as drift"
    find_experiments "${experiment:-transcription,sit,sift}"
fi

. ./path.sh
# shellcheck source=tools/signals.sh
. ../../tools/signals.sh

stop_all() { # what runs in the background does not hear Ctrl-C
    local programs
    programs=$(jobs -p)
    # shellcheck disable=SC2086
    [ -z "$programs" ] || kill $programs 2>/dev/null || true
    wait
}

# train.py for all methods at once, with one thread each: tiny models gain little from a second one, and so the figures
# are the same alone and in company. The progress of the first is shown; what the others said follows.
train_side_by_side() { # OPTIONS of train.py
    local yaml number status logs=() programs=()
    mkdir -p "exp/$speech"
    for yaml in "${hparams[@]:1}"; do
        logs+=("exp/$speech/train.$(basename "$yaml" .yaml).log")
        OMP_NUM_THREADS=1 python train.py "$yaml" "$@" >"${logs[${#programs[@]}]}" 2>&1 &
        programs+=($!)
    done
    OMP_NUM_THREADS=1 forward python train.py "${hparams[0]}" "$@" || { status=$? && stop_all && exit "$status"; }
    for number in ${programs[@]+"${!programs[@]}"}; do
        wait "${programs[number]}" || { status=$? && cat "${logs[number]}" >&2 && stop_all && exit "$status"; }
        cat "${logs[number]}"
    done
}

! $quick || set -- --quick "$@"
! $registered || python local/experiments.py "$experiment" --speech "$speech" --estimate "$@"

if run_stage 0 corpus "$speech speech"; then
    forward python local/make_corpus.py --speech "$speech" --output "corpus/$speech" ${recordings[@]+"${recordings[@]}"}
    if $rebuild_models || [ "$speech" = recorded ]; then
        forward python local/rebuild_models.py --speech "$speech" --corpus "corpus/$speech" "${models[@]}"
    fi
fi

if run_stage 1 prepare "checked manifests and the questions of the evaluation"; then
    forward python prepare.py --corpus "corpus/$speech" --output "data/$speech"
    for form in documents related; do # of the methods that learn from documents
        if ! $registered && grep -qs "data/<speech>_$form " "${hparams[@]}"; then
            forward python local/documents.py --data "data/$speech" --output "data/${speech}_$form" --form "${form/documents/rounds}"
        fi
    done
    if ! $registered && grep -qs "data/<speech>_negatives " "${hparams[@]}"; then # of word_region
        for split in train valid; do
            forward auralign build negate --manifest "data/$speech/$split.jsonl" --output "data/${speech}_negatives"
        done
    fi
fi

if $registered; then
    end_stage
    OMP_NUM_THREADS=1 python local/experiments.py "$experiment" --speech "$speech" "$@"
    end_stages
    exit
fi

if run_stage 2 generate "the frozen LLM writes the targets"; then
    for yaml in "${hparams[@]}"; do forward python generate.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 3 train "connectors, until speech draws the targets from the LLM"; then
    train_side_by_side "${options[@]}" "$@"
fi

if run_stage 4 decode "answers from speech, and from text"; then
    for yaml in "${hparams[@]}"; do forward python decode.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 5 score "the gap ledger"; then
    forward python score.py "${hparams[@]}" "${options[@]}" "$@"
fi

end_stages

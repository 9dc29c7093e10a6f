#!/usr/bin/env bash
# A corpus of your own, from a table to the gap ledger. Copy this folder, and name your LLM and encoder in hparams/sift.yaml.
#
#   ./run.sh --table clips.csv --audio-folder clips   a CSV with the columns path, sentence and split (train, valid, test)
#   ./run.sh --stage 3 --stop-stage 3 -- --lr 3e-4 --restart    one stage; what follows -- goes to the Python of stages 2 to 5;
#                                                     --restart trains in train_2 and keeps what was trained before
#   ./run.sh                                          unchanged: the speech and the models of ../digits, minutes
#
# Stages: 1 prepare, 2 generate, 3 train, 4 decode, 5 score. A finished one is skipped, a broken one resumed.
set -euo pipefail

stage=prepare    # first stage to run, by number or name
stop_stage=score # last stage to run
experiment=sift  # name of a file in hparams/
table=../digits/corpus/synthetic/labels.jsonl # table of the corpus, with a column split
audio_folder=    # folder in which the table's audio paths start; empty: that of the table
# shellcheck source=tools/parse_options.sh
. "$(dirname "$0")/../../tools/parse_options.sh"

[ -f "$(dirname "$0")/hparams/$experiment.yaml" ] || usage_error "no hparams/$experiment.yaml"
cd "$(dirname "$0")"
. ./path.sh
# shellcheck source=tools/signals.sh
. ../../tools/signals.sh

if run_stage 1 prepare "checked manifests and the questions of the evaluation"; then
    case $table in ../digits/*) ../digits/run.sh --stop-stage corpus ;; esac
    folder=(${audio_folder:+--audio-folder "$audio_folder"})
    for split in train valid test; do
        ask=()
        # The right answer is what the LLM itself answers to the text; if a column holds it, name it: --ask "..." COLUMN
        [ $split != test ] || ask=(--ask "repeat {speech}" --ask "reverse {speech}")
        forward auralign prepare "$table" "data/$split.jsonl" --where "split=$split" \
            ${folder[@]+"${folder[@]}"} ${ask[@]+"${ask[@]}"}
    done
fi

if run_stage 2 generate "the frozen LLM writes the targets"; then
    forward python generate.py "hparams/$experiment.yaml" "$@"
fi

if run_stage 3 train "a connector, until speech draws the targets from the LLM"; then
    forward python train.py "hparams/$experiment.yaml" "$@"
fi

if run_stage 4 decode "answers from speech, and from text"; then
    forward python decode.py "hparams/$experiment.yaml" "$@"
fi

if run_stage 5 score "the gap ledger"; then
    forward python score.py "hparams/$experiment.yaml" "$@"
fi

end_stages

#!/usr/bin/env bash
# Give a text LLM ears on CoVoST 2, and see what is left of its translations when the input is speech, not text.
#
#   ./run.sh --data DIR --llm MODEL --encoder MODEL     all, for English to German; README.md says what DIR of the data holds
#   ./run.sh ... --pairs "en_de en_zh-CN"               pairs of one source language, trained on and decoded together
#   ./run.sh ... --experiment sift,blsp --ngpus 4       methods in hparams/, in one ledger; on four GPUs
#   ./run.sh --data DIR --download ...                  fetches the tables first; Common Voice 4 must be there already
#   ./run.sh --data look-alike --config hparams/smoke.yaml     to see that all runs: made-up clips, tiny models, a CPU, a minute
#   ./run.sh --stage 3 --stop-stage 3 -- --lr 3e-4 --restart      one stage; what follows -- changes a key of the YAML;
#                                                                 --restart trains in train_2 and keeps what was trained before
#
# Stages: 1 prepare, 2 generate, 3 train, 4 decode, 5 score. A finished one is skipped, a broken one resumed. Give --pairs in
# each: its source language names the folders.
set -euo pipefail

stage=prepare    # first stage to run, by number or name
stop_stage=score # last stage to run
data=            # folder with the tables of CoVoST 2 and with Common Voice 4, or look-alike
pairs=en_de      # one or several language pairs of one source language, separated by spaces
llm=             # instruct LLM: id on the Hugging Face hub (org/name), or a folder; empty: as the YAML says
encoder=         # speech encoder: likewise
experiment=sift  # names of files in hparams/, separated by commas; all of them are compared in one ledger
config=          # path of one YAML, instead of --experiment
limit=           # number of clips of each split, to try things out; empty: all
limit_test=      # the same for the test clips alone; empty: as --limit
phrasings=       # wordings of each task in the evaluation, at most 5; empty: all
asr=false        # also ask for transcripts of the test clips
comet=           # COMET checkpoint on this disk, to score with it too
download=false   # fetch missing tables first
ngpus=1          # number of GPUs, or processes on a CPU, for stages 2 to 4
launcher=local   # local or slurm: see cmd.sh
# shellcheck source=tools/parse_options.sh
. "$(dirname "$0")/../../tools/parse_options.sh"
comet=$(absolute "$comet")
set_up_recipe "a folder with covost_v2.*.tsv and Common Voice 4 in cv4/<language>" "$@"
source=${pairs%%[_-]*} # zh of zh-CN_en
options+=(--source "$source")
EXTRAS=translation # BLEU and chrF
. ./path.sh
. ./cmd.sh

if run_stage 1 prepare "checked manifests and the questions of the evaluation"; then
    make_data covost
    ! $asr || data_options+=(--asr)
    ! $download || data_options+=(--download)
    launch 0 prepare.py "${hparams[0]}" "${data_options[@]}" "${options[@]}" "$@"
fi

if run_stage 2 generate "the frozen LLM writes the targets"; then
    for yaml in "${hparams[@]}"; do launch "$ngpus" generate.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 3 train "connectors, until speech draws the targets from the LLM"; then
    for yaml in "${hparams[@]}"; do launch "$ngpus" train.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 4 decode "answers from speech, and from text"; then
    for yaml in "${hparams[@]}"; do launch "$ngpus" decode.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 5 score "BLEU, chrF, and the gap ledger"; then
    gpus=0
    [ -z "$comet" ] || options+=(--comet "$comet") gpus=1
    launch "$gpus" score.py "${hparams[@]}" "${options[@]}" "$@"
fi

end_stages

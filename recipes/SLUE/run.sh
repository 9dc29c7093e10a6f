#!/usr/bin/env bash
# Give a text LLM ears, and see what it understands of SLUE: entities, sentiments, dialog acts, answers in the audio, titles.
#
#   ./run.sh --data DIR --llm MODEL --encoder MODEL     all; DIR of the data holds slue-voxpopuli, ... or parquet: see README.md
#   ./run.sh ... --corpora "voxpopuli sqa5 vp_nel"      or all, of voxpopuli voxceleb hvb sqa5 ted vp_nel; default: the first three
#   ./run.sh ... --test dev                             if the test sets are blind
#   ./run.sh ... --experiment sift,blsp --ngpus 4       methods in hparams/, in one ledger; on four GPUs
#   ./run.sh --data DIR --download ...                  fetches voxpopuli and voxceleb first (CC0, CC BY 4.0; test sets blind)
#   ./run.sh --data look-alike --config hparams/smoke.yaml     to see that all runs: made-up clips, tiny models, a CPU, a minute
#   ./run.sh --stage 3 --stop-stage 3 -- --lr 3e-4 --restart      one stage; what follows -- changes a key of the YAML;
#                                                                 --restart trains in train_2 and keeps what was trained before
#
# Stages: 1 prepare, 2 generate, 3 train, 4 decode, 5 score. A finished one is skipped, a broken one resumed.
set -euo pipefail

stage=prepare    # first stage to run, by number or name
stop_stage=score # last stage to run
data=            # folder of the corpora, or look-alike
llm=             # instruct LLM: id on the Hugging Face hub (org/name), or a folder; empty: as the YAML says
encoder=         # speech encoder: likewise
experiment=sift  # names of files in hparams/, separated by commas; all of them are compared in one ledger
config=          # path of one YAML, instead of --experiment
corpora=         # names of corpora, separated by spaces or commas; empty: voxpopuli voxceleb hvb
test='test'      # split that is tested on: test, dev or, for sqa5 alone, verified-test
limit=           # number of utterances of each corpus and split, to try things out; empty: all
limit_test=      # the same for the test clips alone; empty: as --limit
phrasings=       # wordings of each task in the evaluation, at most 5; empty: all
download=false   # fetch voxpopuli and voxceleb first
ngpus=1          # number of GPUs, or processes on a CPU, for stages 2 to 4
launcher=local   # local or slurm: see cmd.sh
# shellcheck source=tools/parse_options.sh
. "$(dirname "$0")/../../tools/parse_options.sh"
set_up_recipe "the folder that holds slue-voxpopuli and the others, or parquet copies" "$@"
# shellcheck disable=SC2034
EXTRAS="datasets summary" # of setup.cfg: parquet, ROUGE
. ./path.sh
. ./cmd.sh

if run_stage 1 prepare "checked manifests and the questions of the evaluation"; then
    make_data slue
    [ -z "$corpora" ] || data_options+=(--corpora "$corpora")
    ! $download || data_options+=(--download)
    launch 0 prepare.py "${hparams[0]}" "${data_options[@]}" --test "$test" "${options[@]}" "$@"
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

if run_stage 5 score "the tasks' metrics, and the gap ledger"; then
    launch 1 score.py "${hparams[@]}" "${options[@]}" "$@"
fi

end_stages

#!/usr/bin/env bash
# Give a text LLM ears on LibriSpeech, and see whether it obeys speech or merely transcribes it.
#
#   ./run.sh --data DIR --llm MODEL --encoder MODEL     all; DIR of the data is the release's folder LibriSpeech
#   ./run.sh ... --experiment sift,blsp --ngpus 4       methods in hparams/, in one ledger; on four GPUs
#   ./run.sh ... --splits "train-clean-100 dev-clean test-clean test-other"
#   ./run.sh --data DIR/LibriSpeech --download ...      fetches what is missing of it first (openslr.org, CC BY 4.0)
#   ./run.sh --data look-alike --config hparams/smoke.yaml     to see that all runs: made-up clips, tiny models, a CPU, a minute
#   ./run.sh --stage 3 --stop-stage 3 -- --lr 3e-4 --restart      one stage; what follows -- changes a key of the YAML;
#                                                                 --restart trains in train_2 and keeps what was trained before
#
# Stages: 1 prepare, 2 generate, 3 train, 4 decode, 5 score. A finished one is skipped, a broken one resumed.
set -euo pipefail

stage=prepare    # first stage to run, by number or name
stop_stage=score # last stage to run
data=            # the folder LibriSpeech, or look-alike
llm=             # instruct LLM: id on the Hugging Face hub (org/name), or a folder; empty: as the YAML says
encoder=         # speech encoder: likewise
experiment=sift  # names of files in hparams/, separated by commas; all of them are compared in one ledger
config=          # path of one YAML, instead of --experiment
splits=          # subsets, such as "train-clean-5 valid=dev-clean-2 test=dev-clean-2"; empty: all that are there
limit=           # number of utterances of each subset, to try things out; empty: all
limit_test=      # the same for the test clips alone; empty: as --limit
phrasings=       # wordings of each task in the evaluation, at most 5; empty: all
obey=            # utterances of each test set that each task of obey is asked of; empty: 100
download=false   # fetch missing subsets first
ngpus=1          # number of GPUs, or processes on a CPU, for stages 2 to 4
launcher=local   # local or slurm: see cmd.sh
# shellcheck source=tools/parse_options.sh
. "$(dirname "$0")/../../tools/parse_options.sh"
set_up_recipe "the folder LibriSpeech, with SPEAKERS.TXT and the subsets" "$@"
. ./path.sh
. ./cmd.sh

if run_stage 1 prepare "checked manifests and the questions of the evaluation"; then
    make_data librispeech
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

if run_stage 5 score "error rates, obedience, and the gap ledger"; then
    launch 0 score.py "${hparams[@]}" "${options[@]}" "$@"
fi

end_stages

#!/usr/bin/env bash
# A small real LLM learns to hear, on a laptop: SmolLM2-135M-Instruct, Whisper-tiny.en and synthesised speech of 1,500 words.
#
#   ./run.sh --quick                                  templates and a few voices: minutes
#   ./run.sh                                          all: an hour and a half on two cores
#   ./run.sh --llm DIR --encoder DIR                  models in folders; otherwise they are fetched from the Hugging Face hub
#   ./run.sh --stage 3 --stop-stage 3 -- --lr 3e-4 --restart    one stage; what follows -- goes to the Python of stages 2 to 5;
#                                                     --restart trains in train_2 and keeps what was trained before
#
# Stages: 0 corpus, 1 prepare, 2 generate, 3 train, 4 decode, 5 score. A finished one is skipped, a broken one resumed.
set -euo pipefail

stage=corpus     # first stage to run, by number or name
stop_stage=score # last stage to run
experiment=      # names of files in hparams/, separated by commas; empty: align,answer, with --quick align
quick=false      # only 2,600 clips of templates in a few voices, and the first phase
llm=             # hub id or folder of the LLM; empty: that of the YAML
encoder=         # hub id or folder of the Whisper encoder; empty: that of the YAML
# shellcheck source=tools/parse_options.sh
. "$(dirname "$0")/../../tools/parse_options.sh"

size=full
options=() # of the Python of stages 2 to 5
corpus=()
if $quick; then
    size=quick corpus=(--quick) options=(--num_steps 300 --valid_every 100 --decode_max_new_tokens 24)
    # 300 steps are too few for layers that read in context
    options+=(--connector.dropout 0.0 --connector.hidden_width 768 --connector.num_layers_after 0)
    experiment=${experiment:-align}
fi
experiment=${experiment:-align,answer}
options+=(--size "$size")
take_model llm "$llm"
take_model encoder "$encoder"
cd "$(dirname "$0")"
find_experiments "$experiment"
EXTRAS=pocket
. ./path.sh
# shellcheck source=tools/signals.sh
. ../../tools/signals.sh

if run_stage 0 corpus "speech of text, by speech synthesis"; then
    forward python local/make_corpus.py --output "corpus/$size" ${corpus[@]+"${corpus[@]}"}
fi

if run_stage 1 prepare "checked manifests and the questions of the evaluation"; then
    forward python prepare.py --corpus "corpus/$size" --output "data/$size"
fi

if run_stage 2 generate "targets"; then
    for yaml in "${hparams[@]}"; do forward python generate.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 3 train "the connector, phase by phase"; then # the second begins with what the first has trained
    for yaml in "${hparams[@]}"; do forward python train.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 4 decode "answers from speech, and from text"; then
    for yaml in "${hparams[@]}"; do forward python decode.py "$yaml" "${options[@]}" "$@"; done
fi

if run_stage 5 score "the gap ledger, and the ladder"; then
    forward python score.py "${hparams[@]}" "${options[@]}" "$@"
    for yaml in "${hparams[@]}"; do
        short=(--short) # all controls of the last phase alone
        [ "$yaml" != "${hparams[${#hparams[@]} - 1]}" ] || short=()
        forward python local/ladder.py "$yaml" ${short[@]+"${short[@]}"} "${options[@]}" "$@"
    done
    # silence, noise and German, which have no right answer: of the phase that ships
    $quick || forward python local/ladder.py "${hparams[0]}" "${options[@]}" "$@" --show "corpus/$size/other"
fi

end_stages

# Source this, without arguments, below the variables that are the options of a script: it sets them from "$@".
#
#     stage=corpus
#     rebuild_models=false
#     . "$(dirname "$0")/../../tools/parse_options.sh"
#
# Options are the lines name=value above that line. --stop-stage 3, --stop-stage=3 and --stop_stage 3 are the same; one
# whose value is true or false may be given bare. --help prints the script's header and, of each option, the comment on its line
# and its default. What follows `--` stays in "$@". --method is the older name of --experiment.
# shellcheck shell=bash disable=SC2154

STAGES="corpus prepare generate train decode score"
read -ra OPTIONS <<<"$(sed -n '/parse_options\.sh/q; s/^\([a-z][a-z0-9_]*\)=.*/\1/p' "${BASH_SOURCE[1]}" | tr '\n' ' ')"

usage_error() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

show_help() { # SCRIPT
    sed -n '2,${/^#/!q; s/^# \{0,1\}//p;}' "$1"
    printf '\nOptions:\n'
    awk '
        /parse_options\.sh/ { exit }
        match($0, /^[a-z][a-z0-9_]*=/) {
            name = substr($0, 1, RLENGTH - 1); value = substr($0, RLENGTH + 1); meaning = ""
            gsub(/_/, "-", name)
            if (match(value, / +# /)) { meaning = substr(value, RSTART + RLENGTH); value = substr(value, 1, RSTART - 1) }
            gsub(/'\''/, "", value)
            printf "  --%-15s %s%s\n", name, meaning, value == "" ? "" : " (default: " value ")"
        }' "$1"
}

is_boolean() { [ "$1" = true ] || [ "$1" = false ]; }

unknown_option() { # names the known option that takes fewest edits to become $1, else all
    local near
    near=$(printf '%s\n' "${OPTIONS[@]//_/-}" | awk -v word="$1" '
        { n = length(word); m = length($0)
          for (i = 0; i <= n; i++) for (j = 0; j <= m; j++) {
              if (i == 0 || j == 0) { edits[i, j] = i + j; continue }
              least = edits[i - 1, j - 1] + (substr(word, i, 1) != substr($0, j, 1))
              if (edits[i - 1, j] + 1 < least) least = edits[i - 1, j] + 1
              if (edits[i, j - 1] + 1 < least) least = edits[i, j - 1] + 1
              edits[i, j] = least }
          if (NR == 1 || edits[n, m] < fewest) { best = $0; fewest = edits[n, m] } }
        END { if (fewest <= 1 + n / 4) print best }')
    [ -z "$near" ] || usage_error "unknown option --$1; did you mean --$near?"
    usage_error "unknown option --$1; known: $(printf -- '--%s ' "${OPTIONS[@]//_/-}")(what is for Python follows --)"
}

stage_number() { # of a stage's number or name
    local number=0 name list=''
    for name in $STAGES; do
        if [ "$number" -gt 0 ] || [ "$FIRST_STAGE" = "$name" ]; then
            if [ "$1" = "$name" ] || [ "$1" = "$number" ]; then echo "$number" && return; fi
            list="$list, $number $name"
        fi
        number=$((number + 1))
    done
    usage_error "unknown stage '$1'; stages: ${list#, }"
}

run_stage() { # NUMBER NAME DESCRIPTION; use it as `if run_stage 3 train "..."; then ...; fi`
    end_stage
    [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
    STAGE_NOW="stage $1: $2" STAGE_BEGAN=$SECONDS
    echo "== $STAGE_NOW, $3"
}

end_stage() { # notes the time of the stage that runs, if one does
    [ -z "$STAGE_NOW" ] || STAGE_TIMES="$STAGE_TIMES== $STAGE_NOW took $((SECONDS - STAGE_BEGAN)) s"$'\n'
    STAGE_NOW=
}

end_stages() { # the last line of a script: prints the time of each stage, and of all
    end_stage
    printf %s "$STAGE_TIMES"
    echo "== done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
}

are_given() { # NAME...: all of them are options of the command line
    local name
    for name; do case " $GIVEN " in *" $name "*) ;; *) return 1 ;; esac done
}

FIRST_STAGE=${stage-}
STAGE_NOW= # the stage that runs, with its number
STAGE_TIMES= # a line for each stage that has run
GIVEN= # names of the options on the command line, as the user spelled them
while [ $# -gt 0 ]; do
    case $1 in
    --) shift && break ;;
    --help | -h) show_help "${BASH_SOURCE[1]}" && exit 0 ;;
    --?*) option=${1#--} ;;
    *) usage_error "unexpected argument '$1'; options begin with --, and what is for Python follows --" ;;
    esac
    option=${option%%=*}
    variable=${option//-/_}
    GIVEN="$GIVEN $variable"
    [ "$variable" != method ] || case " ${OPTIONS[*]} " in *" experiment "*) variable=experiment ;; esac
    case " ${OPTIONS[*]} " in *" $variable "*) ;; *) unknown_option "$option" ;; esac
    if [ "${1#*=}" != "$1" ]; then
        value=${1#*=}
    elif is_boolean "${!variable}"; then
        value=true
        if is_boolean "${2-}"; then value=$2 && shift; fi
    elif [ $# -gt 1 ] && [ "${2#--}" = "$2" ]; then
        value=$2 && shift
    else
        usage_error "option --$option needs a value"
    fi
    if is_boolean "${!variable}" && ! is_boolean "$value"; then
        usage_error "option --$option takes true or false, not '$value'"
    fi
    printf -v "$variable" %s "$value"
    shift
done
! are_given experiment method || usage_error "give --experiment or its older name --method, not both"

case " ${OPTIONS[*]} " in *" stage "*)
    stage=$(stage_number "$stage") || exit 2
    stop_stage=$(stage_number "$stop_stage") || exit 2
    [ "$stage" -le "$stop_stage" ] || usage_error "--stage $stage comes after --stop-stage $stop_stage: nothing to run"
    ;;
esac

absolute() { # of a path as the user gave it; empty stays empty
    case $1 in '' | /*) printf %s "$1" ;; *) printf %s "$PWD/$1" ;; esac
}

find_experiments() { # NAMES of files in hparams/, separated by commas; sets hparams
    local name
    hparams=()
    for name in $(tr , ' ' <<<"$1"); do
        [ -f "hparams/$name.yaml" ] ||
            usage_error "no hparams/$name.yaml; there are: $(cd hparams && echo *.yaml | sed 's/\.yaml//g')"
        hparams+=("hparams/$name.yaml")
    done
    [ ${#hparams[@]} -gt 0 ] || usage_error "--experiment names no file in hparams/"
}

# For the recipes: goes to the recipe's folder, and sets hparams, the YAMLs of --config or --experiment; options, for the Python
# of all stages; data_options, for prepare.py, except --data, which make_data adds. Paths are relative to the user's folder.
set_up_recipe() { # WHAT --data is, ARGUMENTS of Python
    local name
    DATA_IS=$1 && shift
    [ "$data" = look-alike ] || data=$(absolute "$data")
    for name in experiment method; do
        ! are_given config "$name" || usage_error "give --$name or --config, not both"
    done
    [ -z "$config" ] || [ ! -f "$config" ] || config=$(absolute "$config")
    options=()
    take_model llm "$llm"
    take_model encoder "$encoder"
    cd "$(dirname "${BASH_SOURCE[1]}")" || exit
    data_options=()
    [ -z "${splits-}" ] || data_options+=(--splits "$splits")
    [ -z "${pairs-}" ] || data_options+=(--pairs "$pairs")
    [ -z "${limit-}" ] || data_options+=(--limit "$limit")
    [ -z "${limit_test-}" ] || data_options+=(--limit-test "$limit_test")
    [ -z "${phrasings-}" ] || data_options+=(--phrasings "$phrasings")
    [ -z "${obey-}" ] || data_options+=(--obey "$obey")
    if [ -n "$config" ]; then
        [ -f "$config" ] || usage_error "no YAML at '$config'; there are: $(echo hparams/*.yaml)"
        hparams=("${config#"$PWD"/}")
    else
        find_experiments "$experiment"
    fi
    [ "$stage" -gt 1 ] || check_data
    [ "$stop_stage" -lt 2 ] || needs_models "$@"
}

is_hub_id() { # NAME: org/name or org/name@revision, as auralign.hub.parse reads it
    [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*(@[A-Za-z0-9_./-]+)?$ ]] || return 1
    [[ $1 == *@* ]] || [ ! -d "${1%%/*}" ] # models/llm beside models/encoder is a folder that was misspelt
}

take_model() { # NAME MODEL
    local model=$2
    [ -n "$model" ] || return 0
    if [ -d "$model" ] || ! is_hub_id "$model"; then
        [ "$stop_stage" -lt 2 ] || [ -d "$model" ] ||
            usage_error "--$1: no folder $model; give a Hugging Face folder, or an id of the hub (org/name)"
        model=$(absolute "$model")
    fi
    options+=("--${1}_folder" "$model")
}

needs_models() { # ARGUMENTS of Python, which may name them too
    local option folder
    for option in llm encoder; do
        folder=$(sed -n "s/^${option}_folder: *//p" "${hparams[0]}")
        case $folder in # quoted or not; a tag such as !ref is for Python to read
        '!'*) continue ;;
        [\"\']*) folder=${folder#?} && folder=${folder%%[\"\']*} ;;
        *) folder=${folder%% *} ;;
        esac
        case " ${options[*]-} $*" in *" --${option}_folder"*) continue ;; esac
        [ -z "$folder" ] || [ -d "$folder" ] || is_hub_id "$folder" ||
            usage_error "--$option MODEL is not given, and $folder of ${hparams[0]} is not there; give a Hugging Face folder, or" \
                "an id of the hub (org/name)"
    done
}

check_data() {
    [ -n "$data" ] || usage_error "--data DIR is not given: $DATA_IS"
    [ "$data" = look-alike ] || [ -d "$data" ] || ${download-false} || usage_error "--data: no folder $data; give $DATA_IS"
}

# Completes data_options. --data look-alike means a small corpus of this form, made by auralign.testing.corpora, full of traps.
make_data() { # NAME in auralign.testing.corpora; empty if it has none
    if [ "$data" = look-alike ]; then
        [ -n "$1" ] || usage_error "--data look-alike: this corpus has none; give $DATA_IS"
        data=$(python -m auralign.testing.corpora "$1" "$PWD/data/look-alike") || exit
    fi
    data_options=(--data "$data" ${data_options[@]+"${data_options[@]}"})
}

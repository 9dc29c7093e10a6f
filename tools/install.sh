#!/usr/bin/env bash
# Install what auralign needs, as requirements.lock has it. A second run finds that nothing is missing and says nothing.
#
#   tools/install.sh              the toolkit alone
#   tools/install.sh egs test     with these extras of setup.cfg
#   PYTHON=python3.12 tools/install.sh     the Python to make .venv with
#   INSTALLER=pip tools/install.sh         pip, although uv, which is faster, could be had
#
# Installs into the active virtual or conda environment, else into .venv at the root of the checkout (see
# environment.sh). .venv follows the lock, version by version and hash by hash. In an environment of your own, packages that
# are within the ranges of setup.cfg stay, and so does an auralign of another checkout: scripts put their own tree
# first (use_own_tree of environment.sh). The first run downloads some GB. An interrupted run is finished by the next one;
# two at once wait for each other.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

NEEDED_GIGABYTES=8 # of disk: torch for Linux comes with CUDA
python=$ENVIRONMENT/bin/python
unfinished=$ENVIRONMENT/.auralign-unfinished
log=$ENVIRONMENT/auralign-install.log
metadata=$ROOT/toolkit/auralign.egg-info/entry_points.txt

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

main() {
    check_extras "$@"
    if is_complete "$@"; then return; fi
    trap 'echo "install.sh: interrupted; run the same command again to go on" >&2; exit 130' INT
    local base=$python # the Python before ENVIRONMENT is made
    if [ "$ENVIRONMENT" != "$ROOT/.venv" ]; then
        check_active_environment
    elif [ -z "$(version_of "$python")" ]; then
        base=$(find_python)
    fi
    check_writable
    take_lock "$base"
    if is_complete "$@"; then return; fi # by the one we waited for
    check_room
    make_environment "$base"
    if [ -e "$unfinished" ] || ! installed check "$@" >/dev/null 2>&1; then install_packages "$@"; fi
    describe_project
}

is_complete() { # EXTRAS...
    [ ! -e "$unfinished" ] && [ "$metadata" -nt "$ROOT/setup.cfg" ] && installed check "$@" >/dev/null 2>&1
}

installed() { # COMMAND ARGUMENTS...
    "$python" "$ROOT/tools/installed.py" "$@"
}

check_extras() {
    local extra known
    known=$(sed -n '/^\[options.extras_require\]/,/^\[options.entry/s/^\([a-z_-]*\) *=.*/\1/p' "$ROOT/setup.cfg" | tr '\n' ' ')
    for extra in "$@"; do
        [ "$extra" != vllm ] ||
            fail "vLLM brings a torch of its own, which is not in the lock: pip install 'auralign[vllm]' into an environment of its own"
        case " $known" in
        *" $extra "*) ;;
        *) fail "no extra '$extra' in setup.cfg; known: ${known% }" ;;
        esac
    done
}

version_of() { # "3.12", or nothing if it is no Python
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

is_new_enough() {
    case $1 in 3.1[1-9] | 3.[2-9][0-9]) ;; *) return 1 ;; esac
}

check_active_environment() {
    local version
    version=$(version_of "$python")
    [ -n "$version" ] || fail "the active environment $ENVIRONMENT has no working Python; leave it (deactivate) and run this again"
    is_new_enough "$version" ||
        fail "the active environment $ENVIRONMENT has Python $version, auralign needs 3.11 or newer; leave it (deactivate) or make another"
}

find_python() {
    local name version seen='' without_venv=''
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        version=$(version_of "$name")
        if [ -z "$version" ]; then continue; fi
        seen="$seen $name is $version,"
        if ! is_new_enough "$version"; then continue; fi
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$name"
            return
        fi
        without_venv=${without_venv:-$version}
    done
    [ -z "$without_venv" ] || fail "Python $without_venv lacks its venv module; install it (Debian, Ubuntu: python$without_venv-venv), or run this in an active conda environment"
    seen=${seen:- there is no ${PYTHON:-python3},}
    fail "found no Python 3.11 or newer:${seen%,}; install one and name it: PYTHON=/path/to/python3.12 tools/install.sh"
}

check_writable() { # pip writes auralign.egg-info, and we .venv; asking the file system is surer than its mode bits
    local folder probe
    for folder in "$ROOT" "$ENVIRONMENT"; do
        if [ ! -d "$folder" ]; then continue; fi
        probe=$(mktemp "$folder/install.tmp.XXXXXX" 2>/dev/null) ||
            fail "cannot write to $folder (read-only, full, or not yours); work in a copy of the checkout and an environment that you can write to"
        rm -f "$probe"
    done
}

take_lock() { # of setup.cfg, by a Python, for as long as this shell and its children hold descriptor 9
    exec 9<"$ROOT/setup.cfg"
    "$1" - <<'END'
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("install.sh: another installation is at work, waiting for it", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # some network file systems have no locks
END
}

check_room() {
    local folder=$ENVIRONMENT free
    if "$python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null; then return; fi
    [ -d "$folder" ] || folder=$ROOT
    free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024 / 1024) }') || return 0
    if [ -n "$free" ] && [ "$free" -lt "$NEEDED_GIGABYTES" ]; then
        fail "$free GB free at $folder, about $NEEDED_GIGABYTES GB are needed; free some, or activate an environment on another disk"
    fi
}

make_environment() { # PYTHON to make .venv with
    local base=$1 output
    if "$python" -m pip --version >/dev/null 2>&1; then
        is_new_enough "$(version_of "$python")" ||
            fail "$ENVIRONMENT has Python $(version_of "$python"), auralign needs 3.11 or newer; remove it and run this again"
    elif [ "$ENVIRONMENT" = "$ROOT/.venv" ]; then
        [ "$base" != "$python" ] || base=$(find_python) # a .venv whose Python works but whose pip is missing
        echo "install.sh: making $ENVIRONMENT with $base (Python $(version_of "$base"))"
        output=$("$base" -m venv --clear "$ENVIRONMENT" 2>&1) ||
            fail "$base could not make $ENVIRONMENT: $(tail -n 1 <<<"$output")"
    elif [ -z "$(find_uv)" ]; then
        "$python" -m ensurepip >"$log" 2>&1 ||
            fail "the active environment $ENVIRONMENT has no pip; make one that has (python3 -m venv, conda install pip); log: $log"
    fi
}

install_packages() { # EXTRAS...
    local start=$SECONDS reason wanted=$ENVIRONMENT/.auralign-wanted.txt
    local extras=("$@" install) # setuptools, which builds auralign below, and uv
    if [ -e "$unfinished" ]; then installed repair "$unfinished"; else : >"$unfinished"; fi
    rm -f "$log"
    echo "install.sh: installing auralign${1:+ with $*} into $ENVIRONMENT; 1 to 15 minutes the first time. Log: $log"
    keep_cache_near
    cd "$ROOT"
    if installed mixed "${extras[@]}" 2>/dev/null; then
        # Some of it is there, in versions of the user's: it takes a resolver to fit the rest to them.
        installed ranges "${extras[@]}" >"$wanted"
        installed pins "${extras[@]}" >"$wanted.pins"
        add -r "$wanted" -c "$wanted.pins" || explain_failure
    else
        installed lock install >"$wanted" # first, as it installs the others
        [ ! -s "$wanted" ] || [ -n "$(find_uv)" ] || add --no-deps --require-hashes -r "$wanted" || explain_failure
        installed lock "${extras[@]}" >"$wanted"
        [ ! -s "$wanted" ] || add --no-deps --require-hashes -r "$wanted" || explain_failure
    fi
    installed project 2>/dev/null || add --no-deps --no-build-isolation --editable . || explain_failure
    rm -rf "$wanted" "$wanted.pins" "$ENVIRONMENT/.uv-cache"
    reason=$(installed check "$@" 2>&1) || fail "all was installed, yet $reason; unset PYTHONPATH, or start with a new environment. Log: $log"
    rm -f "$unfinished"
    echo "install.sh: installed in $((SECONDS - start)) s"
}

add() { # ARGUMENTS of uv pip install and of pip install
    local uv quiet=()
    # as pip does: the first runs are faster, and on a full disk Python leaves bytecode that is cut, which nothing mends
    export UV_COMPILE_BYTECODE=1
    uv=$(find_uv)
    # uv trusts the certificates of the system, as pip does: a proxy's are among them (the variable was renamed)
    export UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1
    if [ -z "$uv" ]; then
        :
    elif [ -t 1 ]; then # shows its progress
        "$uv" pip install --python "$python" "$@" && return
        echo "install.sh: uv failed, trying pip"
    else
        "$uv" pip install --quiet --python "$python" "$@" 2>"$log" && return
        echo "install.sh: uv failed ($(tail -n 1 "$log")), trying pip"
    fi
    [ -t 1 ] || quiet=(--quiet --progress-bar off)
    "$python" -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check --log "$log" "$@" 2>/dev/null
}

find_uv() { # prints nothing if uv is absent or not wanted
    if [ "${INSTALLER:-uv}" = pip ]; then return; fi
    command -v uv || command -v "$ENVIRONMENT/bin/uv" || true
}

# uv links packages from its cache, and copies them from another disk: then a cache for this once takes less room.
keep_cache_near() {
    local home=${XDG_CACHE_HOME:-$HOME}
    if [ -z "${UV_CACHE_DIR:-}" ] && [ -e "$home" ] &&
        [ "$(stat -c %d "$home" 2>/dev/null)" != "$(stat -c %d "$ENVIRONMENT" 2>/dev/null)" ]; then
        export UV_CACHE_DIR=$ENVIRONMENT/.uv-cache
    fi
}

describe_project() { # writes toolkit/auralign.egg-info, by which the methods of this very tree are found
    if [ "$metadata" -nt "$ROOT/setup.cfg" ]; then return; fi
    cd "$ROOT"
    "$python" -c 'import setuptools; setuptools.setup()' --quiet egg_info >>"$log" 2>&1 ||
        fail "setuptools could not write toolkit/auralign.egg-info: $(tail -n 1 "$log")"
    touch "$metadata"
}

explain_failure() {
    local what=("pip failed: $(grep -o 'ERROR: .*' "$log" 2>/dev/null | tail -n 1)")
    if log_has 'No space left on device|Disk quota exceeded'; then
        what=("the disk is full; free about $NEEDED_GIGABYTES GB (TMPDIR=/another/disk moves pip's temporary files) and run this again")
    elif log_has 'Read-only file system|Permission denied'; then
        what=("no permission to write to pip's folder; see the log")
    elif log_has 'CERTIFICATE_VERIFY_FAILED'; then
        what=("the package index shows a certificate that is not trusted here; set PIP_CERT to your organisation's and run this again")
    elif log_has 'NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|ProxyError|Network is unreachable|Connection refused|ConnectionResetError|RemoteDisconnected|requirement setuptools.*from versions: none'; then
        what=("no network, or the package index does not answer; check the connection (PIP_INDEX_URL, HTTPS_PROXY) and run this again")
    elif log_has 'No matching distribution found'; then
        what=("no $(grep -o 'No matching distribution found for [^ ]*' "$log" | tail -n 1 | sed 's/.* //') for Python $(version_of "$python") on $(uname -sm); try Python 3.12: PYTHON=python3.12")
    fi
    fail "${what[0]}. Log: $log"
}

log_has() {
    grep -qE "$1" "$log" 2>/dev/null
}

main "$@"

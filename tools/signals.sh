# Source this: `forward COMMAND...` runs a command as bash does, but SIGTERM and SIGUSR1 that reach this script, as from a cluster,
# are sent on to it. Without it bash dies of them and leaves the command running.
#
# SIGNALLED is the last signal that came, such as TERM; empty if none did.
# shellcheck shell=bash
SIGNALLED=
SIGNAL_CAME=

signal_code() { echo $((128 + $(kill -l "$1"))); }

pass_on() { # SIGNAL; to all that runs in the background
    local running
    SIGNALLED=$1 SIGNAL_CAME=1
    running=$(jobs -pr)
    [ -n "$running" ] || exit "$(signal_code "$1")"
    # A terminal sends Ctrl-C to all of them itself.
    # shellcheck disable=SC2086 # one word a process
    [ "$1" = INT ] || kill -s "$1" $running 2>/dev/null || true
}

wait_for() { # CHILD, a process in the background; its code
    local code=0
    while :; do
        SIGNAL_CAME=
        wait "$1" && code=0 || code=$?
        [ -n "$SIGNAL_CAME" ] || break # else the signal ended `wait`, and not the command
        # A command that ends as the signal comes can be lost to bash, which then lists it as running for good: another `wait` for
        # it would last as long as anything that runs beside.
        kill -0 "$1" 2>/dev/null || case $'\n'$(jobs -pr)$'\n' in *$'\n'$1$'\n'*) break ;; esac
    done
    return "$code"
}

code_of() { # CODE of a command: what ended well after a signal came counts as stopped, so that no later one begins
    if [ -n "$SIGNALLED" ] && [ "$1" -eq 0 ]; then signal_code "$SIGNALLED"; else echo "$1"; fi
}

forward() { # COMMAND...
    local code=0 child
    # What runs in the background would ignore Ctrl-C, and read nothing from the terminal.
    (trap - INT TERM USR1 && exec "$@") <&0 &
    child=$!
    wait_for "$child" || code=$?
    return "$(code_of "$code")"
}

trap 'pass_on INT' INT
trap 'pass_on TERM' TERM
trap 'pass_on USR1' USR1

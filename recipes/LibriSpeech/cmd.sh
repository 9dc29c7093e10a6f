launch() { shift; python "$@"; }

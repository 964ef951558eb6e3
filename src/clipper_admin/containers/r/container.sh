#!/bin/sh
# Runs container.R. R itself has no way to notice SIGTERM: this shell does, and tells it by a file.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

export LC_ALL="${CLIPPER_R_LOCALE:-C.UTF-8}" # texts are UTF-8
Rscript --vanilla "$here/container.R" "$folder/stop" $$ </dev/null &
child=$!

# The second SIGTERM ends it at once, and so does a model that does not come back. Before it serves there is nothing to finish.
stop() {
    trap 'kill -KILL "$child" 2>/dev/null' TERM
    if [ -e "$folder/stop.serving" ]; then : > "$folder/stop"; else kill "$child" 2>/dev/null; fi
    (sleep 12; kill -KILL "$child" 2>/dev/null) >/dev/null 2>&1 &
    killer=$!
}
trap stop TERM

# A signal ends "wait" before the child has ended.
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
done
[ -n "${killer:-}" ] && kill "$killer" 2>/dev/null
exit "$code"

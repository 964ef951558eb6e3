#!/usr/bin/env bash
# run.sh: what `make test-docker` does. BIN is where the environment of the tests has its programs.
# Where no engine can be had this fails in CI (the environment has CI), and is passed over elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=${BIN:-.venv/bin}
export PATH=$PATH:/usr/sbin:/sbin

give_up() {
    echo "$1" >&2
    if [ -n "${CI:-}" ]; then
        exit 1
    fi
    echo "The tests of Docker were NOT run" >&2
    exit 0
}

install_missing() {
    local packages=()
    "$BIN/python" -m tests.docker.engine status >/dev/null || command -v dockerd >/dev/null || packages+=(docker.io)
    command -v docker >/dev/null || packages+=(docker.io)
    command -v docker-compose >/dev/null || packages+=(docker-compose)
    command -v debootstrap >/dev/null || packages+=(debootstrap)
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v docker-registry >/dev/null || packages+=(docker-registry)
    command -v prometheus >/dev/null || packages+=(prometheus)
    if [ ${#packages[@]} -eq 0 ]; then
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        give_up "Not installed: ${packages[*]}. Install them: apt-get install ${packages[*]}"
    fi
    # A machine that has an init system would start these services otherwise; the tests start their own.
    timeout 120 apt-get update -qq || give_up "apt-get update failed: ${packages[*]} can't be installed"
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 timeout 600 apt-get install -y -qq --no-install-recommends \
        "${packages[@]}" >/dev/null || give_up "apt-get can't install ${packages[*]}: see above"
}

install_missing
if ! "$BIN/python" -m tests.docker.engine status >/dev/null; then
    "$BIN/python" -m tests.docker.engine start || give_up "No Docker engine can be started here: see above"
    trap '"$BIN/python" -m tests.docker.engine stop' EXIT
fi
tests/docker/base_image.sh base redis prometheus fluentd
# CLIPPER_REGISTRY: what the names of the images begin with, here and in the tests.
"$BIN/python" docker/build.py --base-image clipper-test-base:bookworm --registry "${CLIPPER_REGISTRY:-clipper}" \
    --frameworks "closure sklearn"
"$BIN/pytest" -q -m docker --timeout 300 tests/docker tests/docs tests/integration tests/managers

#!/usr/bin/env bash
# base_image.sh [base|redis|prometheus|fluentd]...: makes the images that the tests start from, as no registry is
# needed for them: clipper-test-base:bookworm with debootstrap, and clipper-test-redis, clipper-test-prometheus and
# clipper-test-fluentd on top of it.
# What is there in the same recipe is not made again. Needs root for debootstrap, and an engine that runs.
set -euo pipefail
cd "$(dirname "$0")"

SUITE=bookworm
BASE=clipper-test-base:$SUITE
PACKAGES=python3,python3-pip,python3-venv,ca-certificates
CACHE=${CLIPPER_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clipper-test}
# What this machine trusts, a proxy's certificate perhaps: pip in a container of it reaches what pip here does.
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
LABEL=ai.clipper.test.recipe

recipe_of() { # of the base image, and of what the files given add
    { echo "$SUITE $PACKAGES" && declare -f make_tarball && cat "$CERTIFICATES" "$@"; } | sha256sum | cut -c 1-16
}

is_made() { # IMAGE RECIPE
    [ "$(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null)" = "$2" ]
}

make_tarball() { # FILE: a file of that name is complete
    if [ "$(id -u)" -ne 0 ]; then
        echo "debootstrap needs root: run this as root, or import a $BASE of your own" >&2
        return 1
    fi
    root=$(mktemp -d "$CACHE/root.XXXXXX")
    trap 'rm -rf "$root"' EXIT
    chmod 755 "$root"
    # Without a mirror it takes Debian's own.
    if ! timeout 900 debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" \
        ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$CACHE/debootstrap.log" 2>&1; then
        echo "debootstrap failed; the end of $CACHE/debootstrap.log:" >&2
        tail -n 15 "$CACHE/debootstrap.log" >&2
        return 1
    fi
    rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
        "$root"/var/log/*.log "$root"/usr/share/{doc,man,locale,info}/*
    mkdir -p "$root/var/cache/apt/archives/partial"
    cp "$CERTIFICATES" "$root$CERTIFICATES"
    tar --numeric-owner -C "$root" -cf "$1.part" .
    mv "$1.part" "$1"
    rm -rf "$root"
}

make_base() {
    local recipe tarball
    recipe=$(recipe_of)
    tarball=$CACHE/base-$recipe.tar
    if is_made "$BASE" "$recipe"; then
        return
    fi
    if [ ! -f "$tarball" ]; then
        rm -f "$CACHE"/base-*.tar
        make_tarball "$tarball"
    fi
    docker import --change "LABEL $LABEL=$recipe" --change 'CMD ["bash"]' "$tarball" "$BASE" >/dev/null
    echo "Made $BASE"
}

make_service() { # NAME: from $NAME.Dockerfile, with the network of this machine, for Debian's packages
    local image=clipper-test-$1:$SUITE recipe
    make_base
    recipe=$(recipe_of "$1.Dockerfile")
    if is_made "$image" "$recipe"; then
        return
    fi
    if ! timeout 600 docker build --network host --build-arg "BASE_IMAGE=$BASE" --label "$LABEL=$recipe" \
        --tag "$image" --tag "clipper-test-$1:latest" - <"$1.Dockerfile" >"$CACHE/$1.log" 2>&1; then
        echo "$image can't be built; the end of $CACHE/$1.log:" >&2
        tail -n 15 "$CACHE/$1.log" >&2
        return 1
    fi
    echo "Made $image"
}

mkdir -p "$CACHE"
for each in "${@:-base}"; do
    case $each in
        base) make_base ;;
        redis | prometheus | fluentd) make_service "$each" ;;
        *)
            echo "usage: $0 [base|redis|prometheus|fluentd]..." >&2
            exit 2
            ;;
    esac
done

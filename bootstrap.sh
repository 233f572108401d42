#!/usr/bin/env bash
# From a bare Debian 12 to a report (demo) or to every test (test). Run it again at will: what is
# installed and built stays. Needs the network only while a Debian package is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# ocl-icd-opencl-dev: libdnnl-dev's CMake files look for OpenCL, and the package does not depend on it
build_packages=(build-essential cmake ninja-build pkg-config libdnnl-dev ocl-icd-opencl-dev libsentencepiece-dev
                libjansson-dev libzstd-dev zlib1g-dev libpcre2-dev libutf8proc-dev libxxhash-dev)
# Open MPI for runs of many processes; clang with its runtimes for the libFuzzer targets; clang-format for the form of the sources; python3, zstd and xmllint for the end-to-end tests
test_packages=(libcmocka-dev libopenmpi-dev openmpi-bin clang clang-format libclang-rt-14-dev libomp-dev python3 python3-yaml
               python3-jsonschema zstd libxml2-utils)

usage() {
    cat <<'END'
usage: ./bootstrap.sh demo    install what is missing, build, report the bundled model's loss on the bundled sample
       ./bootstrap.sh test    install what is missing, build and run every test: release, asan, fuzz
                              (FUZZ_SECONDS=5: how long each fuzz target runs)
END
}

say() { printf '==> %s\n' "$*"; }
fail() { printf 'bootstrap.sh: %s\n' "$*" >&2; exit 1; }

# The packages of the list that are not installed.
missing() {
    local p
    for p; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    command -v dpkg-query >/dev/null || fail "this is no Debian: install the equivalents of $* by hand, then use the CMake presets"
    local packages
    mapfile -t packages < <(missing "$@")
    if [ ${#packages[@]} = 0 ]; then say "all $# Debian packages are there"; return; fi
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        fail "packages are missing and there is no sudo; as root: apt-get install --no-install-recommends ${packages[*]}"
    say "installing ${packages[*]}"
    as_root apt-get update -q ||
        fail "apt-get update failed: is the network there? Missing: ${packages[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}" ||
        fail "apt-get could not install ${packages[*]}"
}

# build PRESET [TARGET]: configure and build with all cores; CMake's own message says what went wrong.
build() {
    say "building the $1 preset in build/$1"
    cmake --preset "$1" >"$configure_log" 2>&1 || { cat "$configure_log" >&2; fail "configuring the $1 preset failed"; }
    cmake --build --preset "$1" ${2:+--target "$2"} -j "$(nproc)" || fail "building the $1 preset failed"
}

check() {
    say "testing the $1 preset"
    ctest --preset "$1" -j "$(nproc)" || fail "tests of the $1 preset failed; again: ctest --preset $1 --rerun-failed"
}

demo() {
    install_packages "${build_packages[@]}"
    build release evalmask
    say "build/release/evalmask --model data/base.bin --data data/sample.jsonl.zst --mask doc,regular"
    build/release/evalmask --model data/base.bin --data data/sample.jsonl.zst --mask doc,regular
}

all_tests() {
    install_packages "${build_packages[@]}" "${test_packages[@]}"
    local preset
    for preset in release asan fuzz; do build "$preset"; done
    for preset in release asan fuzz; do check "$preset"; done
}

[ $# = 1 ] || { usage >&2; exit 2; }
configure_log=$(mktemp)
trap 'rm -f "$configure_log"' EXIT
case $1 in
    demo) demo ;;
    test) all_tests ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
esac

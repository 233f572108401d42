#!/usr/bin/env bash
# Everything that the CUDA engine wants from a machine with a device: are its figures right, are its kernels clean, how fast
# is it. Build first: cmake --preset cuda && cmake --build --preset cuda && cmake --build --preset cuda --target bench_cuda_ceiling
#     bench/cuda.sh check                    tests on the device, and the same under compute-sanitizer's four tools
#     bench/cuda.sh agree MODEL DATA         losses on the device against the CPU's f32
#     bench/cuda.sh speed MODEL DATA         the ceiling, then the stages' seconds and flops (profiles in build/cuda/bench)
# A MODEL of a true shape with random weights: evalmask bench --shape NAME --keep-model FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/cuda
out=$build/bench

check() {
    "$build/tests/kernels/test_cuda"
    local tool
    for tool in memcheck racecheck initcheck synccheck; do
        compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/tests/kernels/test_cuda"
    done
}

# loss MODEL DATA NAME OPTION...: one run's loss, from results.json
loss() {
    local model=$1 data=$2 name=$3
    shift 3
    "$build/evalmask" --model "$model" --data "$data" --mask doc,regular --max-docs 50 -q -o "$out/$name.json" "$@" >/dev/null
    python3 -c 'import json, sys; print(sys.argv[2], *(r["loss"] for r in json.load(open(sys.argv[1]))["results"]))' "$out/$name.json" "$name"
}

agree() {
    loss "$1" "$2" cpu-f32 --device cpu --dtype f32
    loss "$1" "$2" cuda-f32 --device cuda --dtype f32
    loss "$1" "$2" cuda-bf16 --device cuda --dtype bf16
    loss "$1" "$2" cuda-f16 --device cuda --dtype f16
    loss "$1" "$2" cuda-bf16-again --device cuda --dtype bf16
    cmp "$out/cuda-bf16.json" "$out/cuda-bf16-again.json" && echo "two runs: the same bytes"
}

speed() {
    "$build/kernels/bench_cuda_ceiling" bf16
    local t memory
    for t in 1024 8192; do
        for memory in 0 6G; do
            "$build/evalmask" --model "$1" --data "$2" --mask doc -T "$t" --device cuda --dtype bf16 -q \
                $([ "$memory" = 0 ] || echo --memory "$memory") --profile "$out/T$t-memory$memory.json" >/dev/null
            echo "T = $t, --memory $memory"
            cat "$out/T$t-memory$memory.json"
        done
    done
    nvidia-smi --query-gpu=name,driver_version,clocks.sm --format=csv,noheader
}

mkdir -p "$out"
case ${1-} in
    check) check ;;
    agree) agree "$2" "$3" ;;
    speed) speed "$2" "$3" ;;
    *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac

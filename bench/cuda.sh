#!/usr/bin/env bash
# Everything that the CUDA engine wants from a machine with a device, each figure with the one that is wanted beside it.
# Build first: cmake --preset cuda && cmake --build --preset cuda
#     bench/cuda.sh [PART...]      the parts asked for, or all in this order: what tells most comes first
#       speed       8B in bf16, rows of 1024 and of 8192 tokens, as a share of cuBLASLt's 8192-cube      some 3 minutes
#       tests       every kernel against the CPU, on the device                                          1 minute
#       sweep       9 alphas x 2 masks over two 8B models, against the four forward passes               2 minutes
#       memory      8B within 6 GiB of device memory, against all of it resident                         1 minute
#       agree       losses in f32, bf16 and f16 against the CPU's f32; two runs byte for byte            2 minutes
#       torch       beside PyTorch on the device, T = 1024 and 8192                                      5 minutes
#       sanitize    the tests under compute-sanitizer's four tools                                       long
# Reports and profiles go to build/cuda/bench. EVALMASK, SHAPE and ROWS (of 1024 tokens) stand in for the defaults: to try the
# script itself, EVALMASK=build/release/tests/kernels/evalmask_emulated SHAPE=tiny-llama ROWS=8 bench/cuda.sh speed sweep memory
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/cuda
out=$build/bench
evalmask=${EVALMASK:-$build/evalmask}
shape=${SHAPE:-llama-8b}
rows=${ROWS:-640}
test_cuda=$build/tests/kernels/test_cuda
test_cuda_attention=$build/tests/kernels/test_cuda_attention
test_cuda_chunks=$build/tests/kernels/test_cuda_chunks

# bench NAME OPTION...: into $out/NAME.json and .md
bench() {
    local name=$1
    shift
    "$evalmask" bench --device cuda --shape "$shape" --dtype bf16 -B 3 --mask doc "$@" -q -o "$out/$name.json" -o "$out/$name.md" >/dev/null
}

# figure NAME KEY WHAT WANTED: the median of a spread of a report's first job, or of the report
figure() {
    python3 - "$out/$1.json" "$2" "$3" "$4" <<'END'
import json, sys
path, key, what, wanted = sys.argv[1:]
report = json.load(open(path))
s = report[key] if key in report else report["jobs"][0][key]
print(f"{what}: {s['median']:.4g} ({s['least']:.4g} to {s['most']:.4g}); wanted: {wanted}")
END
}

speed() {
    local t
    for t in 1024 8192; do
        bench "T$t" -T "$t" --rows $(((rows * 1024 + t - 1) / t)) --repeat 2
        figure "T$t" share_of_ceiling_percent "T = $t, % of the ceiling, start and weights included" 70
        figure "T$t" share_by_device_time_percent "T = $t, % of the ceiling by the device's clock" 70
        figure "T$t" tokens_per_second "T = $t, tokens/s" "-"
        sed -n '/^| Stage/,$p' "$out/T$t.md"
    done
    nvidia-smi --query-gpu=name,driver_version,clocks.sm --format=csv,noheader || true
}

tests() { "$test_cuda_attention" && "$test_cuda" && "$test_cuda_chunks"; }

sweep() {
    bench sweep -T 1024 --rows $(((rows + 4) / 5)) --repeat 1 --alpha=-2:2:0.5 --mask doc,regular
    figure sweep together_over_apart "9 alphas x 2 masks over four runs, start and weights included" "at most 1.15"
    figure sweep together_over_apart_by_device_time "the same by the device's clock" "at most 1.15"
}

memory() {
    [ -e "$out/T1024.json" ] || bench T1024 -T 1024 --rows "$rows" --repeat 2
    bench memory -T 1024 --rows "$rows" --repeat 2 --memory 6G
    python3 - "$out" <<'END'
import json, sys
job = lambda name: json.load(open(f"{sys.argv[1]}/{name}.json"))["jobs"][0]
a, b = job("memory"), job("T1024")
share = 100 * a["tokens_per_second"]["median"] / b["tokens_per_second"]["median"]
print(f"--memory 6G, % of the resident speed: {share:.1f}; wanted: 90; peak memory of the device: "
      f"{a['runs'][0]['peak_device_bytes'] / 2**20:.0f} MiB, resident {b['runs'][0]['peak_device_bytes'] / 2**20:.0f} MiB")
END
}

# losses NAME MODEL OPTION...: into $out/NAME.json
losses() {
    local name=$1 model=$2
    shift 2
    "$evalmask" --model "$model" --tokenizer data/base.bin --data data/sample.jsonl.zst --mask doc,regular -q -o "$out/$name.json" "$@" >/dev/null
}

# agreement A B WHAT WANTED: the largest difference of two runs' losses
agreement() {
    python3 - "$out/$1.json" "$out/$2.json" "$3" "$4" <<'END'
import json, sys
a, b = ([r["loss"] for r in json.load(open(p))["results"]] for p in sys.argv[1:3])
print(f"{sys.argv[3]}: {max(abs(x - y) for x, y in zip(a, b, strict=True)):.2g} nats from the CPU's f32; wanted: {sys.argv[4]}")
END
}

# agree_on WHAT MODEL OPTION...
agree_on() {
    local what=$1 model=$2 dtype wanted
    shift 2
    losses cpu "$model" --device cpu --dtype f32 "$@"
    for dtype in f32 bf16 f16; do
        losses "cuda-$dtype" "$model" --device cuda --dtype "$dtype" "$@"
        [ "$dtype" = f32 ] && wanted=1e-5 || wanted=3e-3
        agreement cpu "cuda-$dtype" "$what, $dtype" "$wanted"
    done
    losses cuda-again "$model" --device cuda --dtype bf16 "$@"
    cmp "$out/cuda-bf16.json" "$out/cuda-again.json" && echo "$what: two runs in bf16 gave the same bytes"
}

agree() {
    agree_on "bundled model" data/base.bin -T 1024 --max-docs 50
    "$evalmask" bench --device cuda --shape llama-1b --rows 1 --repeat 1 -q --keep-model "$out/llama-1b.bin" >/dev/null
    agree_on "1B, random weights" "$out/llama-1b.bin" -T 1024 --max-tokens 2048
}

torch() {
    local model=$out/$shape.bin
    python3 bench/cuda_torch.py --evalmask "$evalmask" --shape "$shape" --keep-model "$model" -T 1024 --rows $(((rows + 2) / 3))
    echo "wanted: 1.5 x, in less memory"
    python3 bench/cuda_torch.py --evalmask "$evalmask" --shape "$shape" --keep-model "$model" -T 8192 --rows $(((rows + 15) / 16)) --repeat 2
    echo "wanted: 3 x, in less memory"
}

sanitize() {
    local tool
    for tool in memcheck racecheck initcheck synccheck; do
        compute-sanitizer --tool "$tool" --error-exitcode 1 "$test_cuda_attention"
        compute-sanitizer --tool "$tool" --error-exitcode 1 "$test_cuda"
    done
}

mkdir -p "$out"
[ $# -gt 0 ] || set -- speed tests sweep memory agree torch sanitize
for part in "$@"; do
    case $part in
        speed | tests | sweep | memory | agree | torch | sanitize) echo "== $part"; "$part" ;;
        *) sed -n '2,15p' "$0" >&2; exit 2 ;;
    esac
done

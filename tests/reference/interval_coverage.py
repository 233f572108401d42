"""How often the 95 % intervals of comparisons cover the mean: groups drawn from the documents of real runs.

    evalmask --model A --compare B --data FILE -T 128 --mask doc --max-docs 400 -o r.json
    python3 tests/reference/interval_coverage.py r.json [another.json ...]

A pool is what the documents of a run (r.documents.jsonl.zst, beside r.json) add to the difference of its first two results,
or to the loss of its first. The formula below is docs/protocol.md's, written anew: first it must give the run's own low and high
(where the two results are the two sides of its one comparison), to 1e-6. Then G documents are drawn with replacement, DRAWS times, and the interval around their mean is looked for the mean
over the whole pool. Printed for every G: the share of draws that have an interval at all, and of those how many cover; then the
same for mean +- 1.96 standard errors. Needs numpy and zstd."""
import json
import math
import subprocess
import sys

import numpy

DRAWS = 20000
LEAST_GROUPS = 3
GROUPS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, 500)


def tails(t, df):
    """P(|T| > t): the density integrated over an angle, by Simpson's rule."""
    angle = numpy.linspace(math.atan(t / math.sqrt(df)), math.pi / 2, 4001)
    values = numpy.cos(angle) ** (df - 1)
    weights = numpy.ones(4001)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    return 2 * scale * (weights * values).sum() * (angle[1] - angle[0]) / 3


def exact_point(df):
    low, high = 1.9, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tails(middle, df) > 0.05 else (low, middle)
    return high


INVERSE = numpy.linspace(1e-4, 0.5, 1000)
POINTS = numpy.array([exact_point(1 / x) for x in INVERSE])


def point(df):
    """The 97.5 % point of Student's t, interpolated."""
    return numpy.interp(1 / df, INVERSE, POINTS)


def intervals(sums, sizes):
    """Means, half widths (NaN: no interval) and standard errors of [draws, G] groups."""
    total = sizes.sum(1, keepdims=True)
    mean = sums.sum(1, keepdims=True) / total
    u, share = sums - mean * sizes, sizes / total
    effective = 1 / (share ** 2).sum(1)
    half = point(numpy.maximum(effective - 1, 2)) * numpy.sqrt((u ** 2 * (1 + 2 * share)).sum(1)) / total[:, 0]
    half[effective < LEAST_GROUPS - 1e-9] = numpy.nan
    n = sums.shape[1]
    return mean[:, 0], half, numpy.sqrt(n / (n - 1) * (u ** 2).sum(1)) / total[:, 0]


def pools(path):
    with open(path, encoding="utf-8") as f:
        results = json.load(f)
    lines = subprocess.run(["zstd", "-dcq", path[:-len(".json")] + ".documents.jsonl.zst"], capture_output=True, check=True).stdout
    documents = [json.loads(line) for line in lines.splitlines()]
    sizes = numpy.array([d["predictions"][0] for d in documents], float)
    nll = numpy.array([d["nll"] for d in documents])[sizes > 0]
    sizes = sizes[sizes > 0]
    yield f"{path}: loss", nll[:, 0], sizes, None
    of_these = [c for c in results.get("comparisons", []) if len(results["results"]) == 2 and c["kind"] == "models"]
    if nll.shape[1] > 1:
        yield f"{path}: difference", nll[:, 1] - nll[:, 0], sizes, of_these[0] if of_these else None


def check(comparison, sums, sizes):
    mean, half, _ = intervals(sums[None], sizes[None])
    for sign, key in (-1, "low"), (1, "high"):
        if not abs(mean[0] + sign * half[0] - comparison[key]) < 1e-6:
            sys.exit(f"{key} is {comparison[key]}, by the formula {mean[0] + sign * half[0]}")


def coverage(sums, sizes, draw):
    truth = sums.sum() / sizes.sum()
    for n in GROUPS:
        shown = covered = plain = 0
        for _ in range(10):
            chosen = draw.integers(len(sums), size=(DRAWS // 10, n))
            mean, half, error = intervals(sums[chosen], sizes[chosen])
            there = numpy.isfinite(half)
            shown += there.sum()
            covered += (abs(mean - truth) <= half)[there].sum()
            plain += (abs(mean - truth) <= 1.96 * error).sum()
        share = f"{100 * covered / shown:5.1f} %" if shown >= DRAWS / 50 else "      -"
        print(f"  G {n:4d}   shown {100 * shown / DRAWS:5.1f} %   covers {share}   1.96 SE {100 * plain / DRAWS:5.1f} %", flush=True)


def main():
    draw = numpy.random.default_rng(11)
    for path in sys.argv[1:]:
        for name, sums, sizes, comparison in pools(path):
            u = sums - sums.sum() / sizes.sum() * sizes
            if comparison:
                check(comparison, sums, sizes)
            print(f"{name}: {len(sums)} documents, the longest {sizes.max() / sizes.mean():.1f} times the mean, "
                  f"kurtosis {(u ** 4).mean() / (u ** 2).mean() ** 2:.0f}")
            coverage(sums, sizes, draw)


if __name__ == "__main__":
    main()

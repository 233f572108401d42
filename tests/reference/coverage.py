#!/usr/bin/env python3
"""How often do 95 % intervals hold the truth? (docs/protocol.md, Intervals)

Draws G documents with replacement from those of a real run, thousands of times, and counts how often an interval from
the draw holds the mean over all of the run's documents. What the program does is worked out here a second time, from the
documents themselves; what it did before, and what it might do instead, stand beside it.

    python3 tests/reference/coverage.py build/release/evalmask            # runs the program on the bundled data: minutes
    python3 tests/reference/coverage.py --pool tests/common/documents/sample.txt --pool tests/common/documents/tinystories.txt
    python3 tests/reference/coverage.py build/release/evalmask --write tests/common/documents       # makes these files

Needs numpy. A pool is a line a document: its predictions, then its NLL sums on each side.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUNS = {"sample": ("sample.jsonl.zst", "doc,regular", (0, 1, 2)), "tinystories": ("tinystories.jsonl.zst", "doc", (0, 1))}


def run(program, name):
    """[documents, 1 + sides]: base and instruct under doc, base under regular."""
    data, masks, sides = RUNS[name]
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "r.json")
        subprocess.run([program, "--model", os.path.join(ROOT, "data/base.bin"), "--compare", os.path.join(ROOT, "data/instruct.bin"),
                        "--data", os.path.join(ROOT, "data", data), "-T", "512", "--mask", masks, "-q", "-o", out], check=True,
                       stdout=subprocess.DEVNULL)
        lines = subprocess.run(["zstd", "-dcq", out[:-5] + ".documents.jsonl.zst"], check=True, capture_output=True, text=True).stdout
    documents = [json.loads(line) for line in lines.splitlines()]
    return np.array([[d["predictions"][0], *(round(d["nll"][s], 4) for s in sides)] for d in documents if d["predictions"][0]])


def student_point(n):
    """97.5 % point of Student's t (Abramowitz and Stegun 26.7.5)."""
    z = 1.959963984540054
    return (z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
            + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4))


def held(s, n, truth, rng):
    """Per method, whether the interval of each draw holds the truth. s, n: [draws, groups]."""
    groups, total = n.shape[1], n.sum(1)
    loss = s.sum(1) / total
    e = s - loss[:, None] * n
    error = np.sqrt(groups / (groups - 1) * (e**2).sum(1)) / total
    effective = total**2 / (n**2).sum(1)
    x = s - truth * n                     # the tests that the interval inverts, at the truth
    mean = x.mean(1)
    d = x - mean[:, None]
    deviation = np.sqrt((d**2).sum(1) / (groups - 1))
    t = mean * np.sqrt(groups) / deviation
    k = (d**3).mean(1) / deviation**3 / np.sqrt(groups)
    hall = t + k * t**2 / 3 + k**2 * t**3 / 27 + k / 6
    point = student_point(np.maximum(effective - 1, 1))
    few = effective < 10
    rest = {"1.96 SE": abs(loss - truth) <= 1.96 * error, "t, G-1": abs(loss - truth) <= student_point(groups - 1) * error,
            "Fieller, G-1": abs(t) <= student_point(groups - 1)}
    boot = np.zeros(min(len(s), 300), bool)
    for i in range(len(boot)):
        w = rng.poisson(1.0, (1000, groups))
        means = (w @ s[i]) / np.maximum(w @ n[i], 1)
        low, high = np.quantile(means, (0.025, 0.975))
        boot[i] = low <= truth <= high
    return {"printed": ((abs(t) <= point) | (abs(hall) <= point))[~few], **rest, "bootstrap": boot}


def pools(pool, name):
    n = pool[:, 0]
    yield name + ": loss", n, pool[:, 1]
    yield name + ": instruct minus base", n, pool[:, 2] - pool[:, 1]
    if pool.shape[1] > 3:
        yield name + ": regular minus doc", n, pool[:, 3] - pool[:, 1]
    small = pool[:60]
    yield name + ": loss, its first 60 documents", small[:, 0], small[:, 1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?")
    parser.add_argument("--pool", action="append", default=[])
    parser.add_argument("--write")
    parser.add_argument("--draws", type=int, default=8000)
    parser.add_argument("--groups", default="2,5,10,30,50,100,150,200,400")
    o = parser.parse_args()
    read = {os.path.basename(p)[:-4]: np.loadtxt(p) for p in o.pool} or {name: run(o.program, name) for name in RUNS}
    rng = np.random.default_rng(1)
    for name, pool in read.items():
        if o.write:
            with open(os.path.join(o.write, name + ".txt"), "w", encoding="utf-8") as f:
                f.writelines(" ".join(["%d" % row[0], *("%.4f" % x for x in row[1:])]) + "\n" for row in pool)
            continue
        for title, n, s in pools(pool, name):
            print("%s (%d documents, lengths vary by %.2f of their mean)" % (title, len(n), n.std() / n.mean()))
            for groups in map(int, o.groups.split(",")):
                shares, left = {}, o.draws
                while left > 0:
                    draws = min(left, 2000)
                    i = rng.integers(len(n), size=(draws, groups))
                    for key, v in held(s[i], n[i], s.sum() / n.sum(), rng).items():
                        shares.setdefault(key, []).append(v)
                    left -= draws
                share = {key: 100 * np.concatenate(v).mean() for key, v in shares.items() if sum(map(len, v))}
                printed = "%5.1f" % share.pop("printed") if groups >= 100 else "    -"
                share.pop("printed", None) if groups < 100 else None
                print("  G = %3d  printed %s   " % (groups, printed) + "  ".join("%s %.1f" % x for x in share.items()), flush=True)


if __name__ == "__main__":
    main()

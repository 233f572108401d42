#!/usr/bin/env python3
"""What ranks cost: the same run as one process with one thread, as one with N threads, and as N ranks with one thread
each, in turns, so that a machine's busy minutes meet all alike. Prints tokens a second and processor seconds of each
(medians; mpirun's included), and the ratios of rates within a round (median, least, most). Results must be the same
bytes.

    bench/ranks.py build/release/evalmask --model data/base.bin --data data/sample.jsonl.zst --max-docs 150
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile


def run(command, folder):
    profile, results = os.path.join(folder, "p.json"), os.path.join(folder, "r.json")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "-q", "--profile", profile, "-o", results], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(profile, encoding="utf-8") as p, open(results, "rb") as r:
        return json.load(p)["tokens_per_second"], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, r.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evalmask")
    parser.add_argument("-n", type=int, default=2, help="ranks, and threads (default 2)")
    parser.add_argument("--rounds", type=int, default=5)
    args, run_arguments = parser.parse_known_args()
    alone = [args.evalmask, *run_arguments, "--threads"]
    mpirun = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "-n", str(args.n)]
    commands = {"one": [*alone, "1"], "threads": [*alone, str(args.n)], "ranks": [*mpirun, *alone, "1"]}
    rates, seconds, results = {name: [] for name in commands}, {name: [] for name in commands}, set()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for name, command in commands.items():
                rate, spent, bytes_ = run(command, folder)
                rates[name].append(rate)
                seconds[name].append(spent)
                results.add(bytes_)
    for name, values in rates.items():
        print(f"{name:8} {statistics.median(values):10.0f} tokens/s {statistics.median(seconds[name]):8.1f} processor seconds")
    for base in ("one", "threads"):
        ratios = [r / b for r, b in zip(rates["ranks"], rates[base])]
        print(f"{args.n} ranks / {base}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    print("results are the same bytes" if len(results) == 1 else "RESULTS DIFFER")


if __name__ == "__main__":
    main()

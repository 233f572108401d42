"""Runs evalmask on the cases of this folder and compares every field with the golden.

    python3 tests/golden/check.py EVALMASK MODEL [NAME ...]

Two kinds of golden: those of tests/reference (all fields of a result), and base-published.json, the
losses of the bundled model on the bundled sample from an independent run of transformers.
Losses agree to 1e-5 (relative), a prediction's NLL to 2e-4 nats, counts exactly. top1 may differ by
as many predictions as the reference saw near ties for.
"""
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOSSES = {"loss": 1e-5, "loss_batch_mean": 1e-5, "loss_doc_mean": 1e-5, "loss_no_boundary": 1e-5, "bits_per_byte": 1e-5,
          "bits_per_byte_all": 1e-5, "perplexity": 1e-4, "stderr": 1e-4}
COUNTS = ("predictions", "boundary_predictions", "documents", "rows", "batches", "groups", "offset", "positions", "seq_len",
          "batch", "leak")


def evaluate(evalmask, model, data, arguments):
    """(results.json, lines of --tokens)"""
    with tempfile.TemporaryDirectory() as scratch:
        out, tokens = os.path.join(scratch, "r.json"), os.path.join(scratch, "t.jsonl")
        command = [evalmask, "--model", "base=" + model, "--data", data, "--dtype", "f32", *arguments, "-q", "-o", out,
                   "--tokens", tokens]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"exit {run.returncode} of {shlex.join(command)}\n{run.stderr}")
        with open(out, encoding="utf-8") as f, open(tokens, encoding="utf-8") as t:
            return json.load(f), [json.loads(line) for line in t]


class Comparison:
    def __init__(self, name):
        self.name, self.bad, self.fields = name, [], 0

    def same(self, where, got, want):
        self.fields += 1
        if got != want:
            self.bad.append(f"{self.name}: {where}: {got!r}, the reference has {want!r}")

    def near(self, where, got, want, relative, absolute=0.0):
        if got is None or want is None:
            return self.same(where, got, want)
        self.fields += 1
        if not math.isclose(got, want, rel_tol=relative, abs_tol=absolute):
            self.bad.append(f"{self.name}: {where}: {got!r}, the reference has {want!r}")

    def top1(self, where, got, want, near_ties):
        """got: the share; want: figures with top1_count."""
        if not want["predictions"]:
            return self.same(where, got, None)
        self.fields += 1
        count = got * want["predictions"]
        if abs(count - want["top1_count"]) > near_ties + 1e-6:
            self.bad.append(f"{self.name}: {where}: {count:.3f} right, the reference has {want['top1_count']}")


def compare_part(c, where, got, want, near_ties):
    for key in ("subset", "documents", "from", "to", "predictions"):
        if key in want:
            c.same(f"{where} {key}", got.get(key), want[key])
    for key in ("loss", "bits_per_byte"):
        c.near(f"{where} {key}", got[key], want[key], 1e-5, 2e-6)
    c.top1(f"{where} top1", got["top1"], want, near_ties)


def compare_parts(c, where, got, want, near_ties):
    c.same(f"{where}: how many", len(got), len(want))
    for g, w in zip(got, want):
        compare_part(c, f"{where} {w.get('subset', w.get('from'))}", g, w, near_ties)


def compare_nll(c, where, lines, key, want):
    """want: [row, position, document, token, label, nll]; lines: of --tokens, this result's only."""
    got = {(t["row"], t["pos"], t["doc"], t["token"], t["label"]): t["nll"][key] for t in lines if key in t["nll"]}
    for *place, nll in want:
        c.near(f"{where} NLL at {place}", got.get(tuple(place)), nll, 0, 2e-4)


def compare_result(c, got, want, lines, several_positions):
    where = f"{want['mask']} {want['labels']} {want['positions']}"
    for key in COUNTS:
        c.same(f"{where} {key}", got[key], want[key])
    for key, tolerance in LOSSES.items():
        c.near(f"{where} {key}", got[key], want[key], tolerance)
    c.top1(f"{where} top1", got["top1"], want, want["near_ties"])
    for name, part in want.get("leaks", {}).items():
        compare_part(c, f"{where} leaks {name}", got["leaks"][name], part, want["near_ties"])
    for key in ("subsets", "by_position"):
        if key in want:
            compare_parts(c, f"{where} {key}", got[key], want[key], want["near_ties"])
    at = "@" + want["positions"] if several_positions else ""
    compare_nll(c, where, lines, f"base|{want['mask']}{at}|{want['labels']}||", want.get("nll", []))
    c.same(f"{where}: scored predictions in --tokens",
           sum(f"base|{want['mask']}{at}|{want['labels']}||" in t["nll"] for t in lines), want["predictions"])


def find(results, mask, labels, positions):
    found = [r for r in results if (r["mask"], r["labels"], r["positions"]) == (mask, labels, positions)]
    return found[0] if len(found) == 1 else None


def check_reference(c, golden, evalmask, model):
    arguments = shlex.split(golden["args"])
    got, lines = evaluate(evalmask, model, os.path.join(HERE, golden["data_file"]), arguments)
    for key, value in golden["data"].items():
        c.same(f"data {key}", got["data"][key], value)
    c.same("how many results", len(got["results"]), len(golden["results"]))
    several = "," in golden["args"].partition("--positions ")[2].partition(" ")[0]
    for want in golden["results"]:
        result = find(got["results"], want["mask"], want["labels"], want["positions"])
        if result is None:
            c.same(f"{want['mask']} {want['labels']} {want['positions']}", "missing", "there")
        else:
            compare_result(c, result, want, lines, several)


def check_published(c, golden, evalmask, model):
    q = golden["args"]
    got, lines = evaluate(evalmask, model, os.path.join(HERE, q["data"]), [
        "-T", str(golden["T"]), "-B", str(golden["B"]), "--max-docs", str(q["max_docs"]), "--mask", q["masks"], "--labels",
        q["labels"], "--positions", q["positions"], "--window", q["window"], "--tail", "drop", "--boundary", "keep"])
    c.same("documents", got["data"]["documents"], golden["docs"])
    c.same("tokens", got["data"]["tokens"], golden["tokens"])
    for want in golden["runs"]:
        where = f"{want['mask']} {want['labels']}"
        result = find(got["results"], want["mask"], want["labels"], want["positions"])
        for key in ("predictions", "batches", "offset"):
            c.same(f"{where} {key}", result[key], want[key])
        c.near(f"{where} loss", result["loss"], want["loss_token_mean"], 1e-5)
        c.near(f"{where} loss_batch_mean", result["loss_batch_mean"], want["loss_batch_mean"], 1e-5)
        c.near(f"{where} top1", result["top1"], want["top1"], 0, 2.5 / want["predictions"])
        key = f"base|{want['mask']}|{want['labels']}||"
        row = [t["nll"][key] for t in lines if t["row"] == 0 and key in t["nll"]]
        for i, nll in enumerate(want["first_row_nll"]):
            c.near(f"{where} NLL {i}", row[i], nll, 0, 2e-4)


def main():
    evalmask, model, *names = sys.argv[1:]
    names = names or sorted(f[:-5] for f in os.listdir(HERE) if f.endswith(".json"))
    fields, bad = 0, []
    for name in names:
        with open(os.path.join(HERE, name + ".json"), encoding="utf-8") as f:
            golden = json.load(f)
        c = Comparison(name)
        (check_published if "runs" in golden else check_reference)(c, golden, evalmask, model)
        fields += c.fields
        bad += c.bad
    print(*bad[:40], sep="\n")
    print(f"{len(names)} goldens, {fields} fields, {len(bad)} differ")
    sys.exit(1 if bad or not fields else 0)


if __name__ == "__main__":
    main()

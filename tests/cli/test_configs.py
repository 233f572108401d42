"""Every installed config with no other flags but a small --max-docs, its table against results.json, and what overrides it."""
import glob
import json
import math
import os
import re
import unittest

import cli

CONFIGS = os.path.join(cli.ROOT, "configs")
DATA = os.path.join(cli.ROOT, "data")
FEW = ("-q", "--max-docs", "3")
long_runs = unittest.skipIf(cli.SANITIZED, "thousands of tokens through several models")

# Transformers and torch, f32 with dense masks, on the bundled models and the first 25 documents of the sample:
# T = 1024, B = 3, --tail drop, continuous positions. (mask, labels, model or alpha): loss
REFERENCE = {
    ("doc", "unshifted", "before"): 4.393610781695106, ("doc", "unshifted", "after"): 4.513807319925624,
    ("regular", "unshifted", "before"): 4.411025860107847, ("regular", "unshifted", "after"): 4.531858014628602,
    ("doc", "shifted", "before"): 7.599431274944455, ("doc", "shifted", "after"): 7.562576041156392,
    ("regular", "shifted", "before"): 7.614731551361651, ("regular", "shifted", "after"): 7.574168052067955}
# The adapter as a model of its own: merged into the base's bf16 weights, whose rounding (and nothing else: the same
# weights agree to 1e-5) sets it apart from the bundled adapter.
BARD = {
    ("doc", -2): 4.431435658810303, ("doc", -1): 4.393610781695106, ("doc", -0.5): 4.405638600746404, ("doc", 0): 4.438103010719049,
    ("doc", 0.5): 4.490819440695011, ("doc", 1): 4.563498791768749, ("doc", 1.5): 4.655779305836303, ("doc", 2): 4.767274590929319,
    ("doc", 3): 5.0464821359927745,
    ("regular", -2): 4.449292024648911, ("regular", -1): 4.411025860107847, ("regular", -0.5): 4.423708478421647,
    ("regular", 0): 4.457456497203071, ("regular", 0.5): 4.512076014500761, ("regular", 1): 4.587229793538684,
    ("regular", 1.5): 4.682488180240886, ("regular", 2): 4.7974101794424735, ("regular", 3): 5.084613681140227}


def tables(markdown):
    """Every table: rows of cells."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        found.append([[cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()])
    return found


def interval_cell(c):
    return "-" if c["low"] is None else "%+.4f %+.4f" % (c["low"], c["high"])


class Configs(cli.Case):
    def run_config(self, name, *arguments):
        out = self.path("out.json")
        run = self.run_program("--config", name, *arguments, "-o", out, "--markdown-style", "github")     # its tables stay whole
        with open(out, encoding="utf-8") as f:
            return run.out, json.load(f)

    def pick(self, rows, **what):
        found = [r for r in rows if all(r.get(k) == v for k, v in what.items())]
        self.assertEqual(len(found), 1, what)
        return found[0]

    def test_all_are_listed_and_run(self):
        listed = self.run_program("help", "configs").out
        for path in glob.glob(os.path.join(CONFIGS, "*.json")):
            name = os.path.basename(path)[:-5]
            with self.subTest(name):
                self.assertIn(f"\n{name}\n", "\n" + listed)
                with open(path, encoding="utf-8") as f:
                    config = json.load(f)
                run = self.run_program("--config", name, *FEW)
                self.assertEqual(run.out, self.run_program("--config", path, *FEW).out)
                if "table" in config:
                    self.assertTrue(run.out.startswith(f"# {config['title']}\n"), run.out[:200])
                    self.assertLess(len(tables(run.out.split(": loss in nats per token")[1])), len(tables(run.out)))

    def test_report_draws_the_table_again(self):
        out = self.path("x.json")
        run = self.run_program("--config", "base-vs-instruct", *FEW, "-o", out)
        self.assertEqual(self.run_program("report", out).out, run.out)

    # ---- logit-amplification ----

    @long_runs
    def test_alphas_against_the_reference(self):
        text, got = self.run_config("logit-amplification", "-q", "--max-docs", "25")
        for (mask, alpha), loss in BARD.items():
            row = self.pick(got["results"], mask=mask, alpha=alpha)
            self.assertAlmostEqual(row["loss_batch_mean"] / loss, 1, delta=5e-5)
            self.assertEqual(row["predictions"], 21483)
        sweep, differences = tables(text)[:2]
        self.assertEqual(sweep[0], ["Alpha", "Document mask", "Regular mask"])
        for line in sweep[2:]:
            for mask, cell in zip(("doc", "regular"), line[1:]):
                self.assertEqual(cell, "%.6f" % self.pick(got["results"], mask=mask, alpha=float(line[0]))["loss_batch_mean"])
        for line in differences[2:]:
            c = self.pick(got["comparisons"], kind="models", mask="regular", alpha=float(line[0]))
            self.assertEqual(line[3:], ["%+.4f" % c["difference"], interval_cell(c)])
        for mask, name in ("doc", "Document mask"), ("regular", "Regular mask"):
            self.assertIn("%s: Before model: **%.6f** | After model: **%.6f**" % (
                name, REFERENCE[mask, "unshifted", "before"], self.pick(got["results"], mask=mask, model="after")["loss_batch_mean"]), text)
        self.assertIn("Document mask: the loss is least at alpha = -1", text)
        masks = self.pick(got["comparisons"], kind="masks", alpha=None, model="before")["affected"]
        self.assertIn(f"affects {masks['direct'] + masks['indirect']} of the 21483 predictions", " ".join(text.split()))

    # ---- base-vs-instruct ----

    @long_runs
    def test_base_and_instruct_against_the_reference(self):
        _, got = self.run_config("base-vs-instruct", "-q", "--max-docs", "25", "-B", "3", "--tail", "drop", "--window", "next",
                                 "--pack", "stream")
        for (mask, labels, model), loss in REFERENCE.items():
            row = self.pick(got["results"], mask=mask, labels=labels, model=model)
            self.assertAlmostEqual(row["loss_batch_mean"] / loss, 1, delta=1e-5)

    def test_groups_and_rows(self):
        text, got = self.run_config("base-vs-instruct", *FEW)
        self.assertEqual({r["pack"] for r in got["results"]}, {"none", "stream"})
        self.assertLess(text.index("### SHIFTED LABELS"), text.index("### NO SHIFTING"))
        self.assertIn("the token after next", text)
        rows = {"single document / default causal": ("alone", "regular"), "batch / 4D block": ("packed", "doc"),
                "batch / default causal": ("packed", "regular")}
        for table, labels in zip(tables(text), ("shifted", "unshifted")):
            self.assertEqual([line[0] for line in table[2:]], list(rows))
            for name, base, instruct, difference, interval, ratio, ln_v, documents, affected in table[2:]:
                data, mask = rows[name]
                before = self.pick(got["results"], data_set=data, mask=mask, labels=labels, model="before")
                after = self.pick(got["results"], data_set=data, mask=mask, labels=labels, model="after")
                c = self.pick(got["comparisons"], kind="models", data_set=data, mask=mask, labels=labels)
                masks = self.pick(got["comparisons"], kind="masks", data_set=data, labels=labels, model="before")["affected"]
                self.assertEqual((base, instruct, difference), ("%.4f" % before["loss"], "%.4f" % after["loss"], "%+.4f" % c["difference"]))
                self.assertAlmostEqual(c["difference"], after["loss"] - before["loss"], places=9)
                self.assertEqual((interval, ratio), (interval_cell(c), "%.4f" % c["perplexity_ratio"]))
                self.assertEqual((ln_v, documents), ("%.4f" % math.log(4096), str(before["documents"])))
                self.assertEqual(affected, str(masks["direct"] + masks["indirect"]))
                if data == "alone":
                    self.assertEqual(affected, "0")

    def test_a_sign_change_needs_both_intervals(self):
        """With one document there is no interval; a model against itself has no difference."""
        text, _ = self.run_config("base-vs-instruct", "-q", "--max-docs", "1", "-T", "2048")
        self.assertFalse("the sign changes" in text)
        self.assertTrue("too few documents for intervals" in " ".join(text.split()))
        text, _ = self.run_config("base-vs-instruct", *FEW, "--model", cli.MODEL, "--compare", cli.MODEL)
        self.assertFalse("the sign changes" in text)
        self.assertTrue("the difference has the same sign" in " ".join(text.split()))

    # ---- sequence-length ----

    def test_gap_by_length(self):
        text, got = self.run_config("sequence-length", "-q", "--max-tokens", "4000", "-T", "64,128,256")
        table = tables(text)[0]
        self.assertEqual([line[0] for line in table[2:]], ["64", "128", "256"])
        for line in table[2:]:
            c, = [c for c in got["comparisons"] if c["seq_len"] == int(line[0])]
            rows = {r["mask"]: r for r in got["results"] if r["seq_len"] == int(line[0])}
            self.assertEqual((c["mask_before"], c["mask"]), ("regular", "doc"))
            self.assertEqual(line[1:4], ["%.4f" % rows["regular"]["common"]["loss"], "%.4f" % rows["doc"]["common"]["loss"],
                                         "%+.4f" % c["common"]["difference"]])
            self.assertEqual(line[7:], ["%.2f" % (rows["doc"]["segments"] / rows["doc"]["rows"]), str(c["common"]["affected"])])
        self.assertEqual(table[2][5:7], ["-", "-"])
        self.assertRegex(text, r"The gap (grows|shrinks) with T|is not shown")
        self.assertIn("█", text)

    # ---- layer-removal ----

    def test_depths_and_directions(self):
        text, got = self.run_config("layer-removal", *FEW, "-T", "128")
        self.assertEqual({(r["mask"], r["labels"]) for r in got["results"]},
                         {("regular", "unshifted"), ("backward", "backward"), ("flip0", "unshifted"), ("flip0", "backward")})
        losses, ratios, leaks = tables(text)[:3]
        self.assertEqual(len(losses) - 2, 24)
        by = {(r["depth"], f"{r['mask']}, i{r['offset']:+d}" + " LEAK" * r["leak"]): r for r in got["results"]}
        for depth, removed, direction, loss, perplexity, accuracy in losses[2:]:
            r = by[int(depth), direction]
            self.assertEqual((int(removed), loss, perplexity), (6 - int(depth), "%.4f" % r["loss"], "%.2f" % r["perplexity"]))
        for depth, direction, loss, perplexity, accuracy in ratios[2:]:
            r, forward = by[int(depth), direction], by[int(depth), "regular, i+1"]
            self.assertEqual(loss, "%.4f" % (forward["loss"] / r["loss"]))
        for line in leaks[2:]:
            r = by[int(line[0]), line[1] + " LEAK"]
            self.assertEqual(line[2], str(r["leaks"]["direct"]["predictions"]))
            self.assertEqual(line[6], str(r["leaks"]["clean"]["predictions"]))

    def test_repeated_trainings(self):
        text, got = self.run_config("layer-removal", *FEW, "-T", "128", "--depth", "6", "--model",
                                    f"both={cli.MODEL},{os.path.join(DATA, 'instruct.bin')}")
        means, ratios = tables(text)[:2]
        fwd = [r["loss"] for r in got["results"] if r["mask"] == "regular"]
        back = [r["loss"] for r in got["results"] if r["mask"] == "backward"]
        self.assertEqual(means[2][3:5], ["%.4f" % (sum(fwd) / 2), "%.4f" % (abs(fwd[0] - fwd[1]) / math.sqrt(2))])
        self.assertEqual(ratios[2][1:3], ["backward, i-1", "loss"])
        self.assertEqual(ratios[2][3:5], ["%.4f" % (sum(fwd) / sum(back)), "%.4f" % ((fwd[0] / back[0] + fwd[1] / back[1]) / 2)])

    # ---- packing-check, document-mask ----

    def test_packing_check(self):
        run = self.run_program("--config", "packing-check", "-q")
        self.assertEqual(run.out.count("**pass**"), 5)
        run = self.run_program("inspect", "--config", "packing-check", "-q", "--eos", "none", status=1)
        self.assertIn("**FAIL** EOS between all documents", run.out)
        self.assertTrue(run.out.startswith("# Packing check\n\n# Packing of the bundled sample\n"), run.out[:200])

    def test_packing_check_on_packed_rows(self):
        rows = os.path.join(cli.ROOT, "tests", "eval", "packed", "pad-is-eos.jsonl")
        run = self.run_program("--config", "packing-check", "--packed", rows, "--eos", "2", status=1)
        self.assertIn("**FAIL**", run.out)
        self.assertEqual(run.out, self.run_program("inspect", "--packed", rows, "--eos", "2", status=1).out)
        run = self.run_program("--config", "packing-check", "--packed", rows, status=2)
        self.assertIn("wants --eos ID", run.err)

    @long_runs
    def test_a_published_model_and_its_mask(self):
        """Transformers and torch on the first 60 stories: T = 512, B = 3, --tail drop."""
        _, got = self.run_config("document-mask", "-q", "--max-docs", "60", "-B", "3", "--tail", "drop")
        self.assertTrue(any("the config's tinystories.jsonl.zst" in note for note in got["notes"]))
        for mask, positions, loss in ("doc", "continuous", 3.2654745092370674), ("regular", "continuous", 3.791550043557096), \
                                     ("regular", "reset", 4.8040331366470905):
            row = self.pick(got["results"], mask=mask, positions=positions)
            self.assertAlmostEqual(row["loss_batch_mean"] / loss, 1, delta=1e-5)
        with open(os.path.join(cli.ROOT, "docs", "experiments.md"), encoding="utf-8") as f:
            page = f.read()
        for row in got["results"]:
            self.assertIn(f"| {row['mask']} | {row['positions']} | {row['loss']:.4f} | {row['stderr']:.4f} |", page)

    # ---- the command line over the config ----

    def test_overrides(self):
        _, got = self.run_config("logit-amplification", *FEW, "--mask", "full", "--alpha", "0.25", "-T", "100", "-B", "1")
        self.assertEqual({(r["mask"], r["alpha"], r["seq_len"]) for r in got["results"]}, {("full", None, 100), ("full", 0.25, 100)})
        self.assertTrue(any("bundled models" in note for note in got["notes"]))
        _, got = self.run_config("base-vs-instruct", "-q", "--data", cli.MIXED, "--model", cli.MODEL, "--compare", cli.MODEL)
        self.assertFalse(any("bundled" in note for note in got["notes"]))
        self.assertEqual(got["data"]["documents"], 23)

    def test_refusals(self):
        bad = self.write("bad.json", '{"options": {"mask": "doc",\n "maks": "full"}}')
        run = self.run_program("--config", bad, "--model", cli.MODEL, status=2)
        self.assertIn(f"{bad}, byte 29: \"maks\": no such option", run.err)
        self.assert_one_line(run.err)
        bad = self.write("bad.json", '{"options": {"mask": "dco"}}')
        run = self.run_program("--config", bad, "--model", cli.MODEL, status=2)
        self.assertIn("byte 13: --mask dco: no such mask", run.err)
        bad = self.write("bad.json", '{"options": {"mask": ["doc", "full"], "batch": [4, 8]}}')
        run = self.run_program("--config", bad, "--model", cli.MODEL, status=2)
        self.assertIn('byte 38: "batch": one value, not a list', run.err)
        bad = self.write("bad.json", '{"bundled": {"model": "no-such-model.bin"}}')
        self.assertIn("no-such-model.bin is not installed", self.run_program("--config", bad, status=2).err)
        run = self.run_program("--config", "base-vs-instruct", "--model", cli.MODEL, status=2)
        self.assertIn("say --compare PATH or --adapter DIR", run.err)
        self.assert_one_line(run.err)


class Packings(cli.Case):
    def test_both_are_each_alone(self):
        both = self.results("--data", cli.MIXED, "-q", "-T", "64", "--mask", "doc,regular", "--pack", "stream,none")
        for pack, name in ("stream", "packed"), ("none", "alone"):
            alone = self.results("--data", cli.MIXED, "-q", "-T", "64", "--mask", "doc,regular", "--pack", pack)
            self.assertEqual([{k: v for k, v in r.items() if k != "data_set"} for r in both["results"] if r["data_set"] == name],
                             alone["results"])
        self.assertEqual(both["data"]["documents"], 23)
        self.assertEqual(both["protocol"]["pack"], "stream, none")

    def test_stdin_is_read_once(self):
        self.assertIn("stdin can be read once", self.run_program("--model", cli.MODEL, "--data", "-", "--pack", "stream,none", status=2).err)


class MasksWithLabels(cli.Case):
    def test_the_same_figures_as_with_all(self):
        some = self.results("--data", cli.MIXED, "-q", "-T", "64", "--mask", "regular@unshifted,backward@backward")
        every = self.results("--data", cli.MIXED, "-q", "-T", "64", "--mask", "regular,backward", "--labels", "unshifted,backward")
        self.assertEqual([(r["mask"], r["labels"]) for r in some["results"]], [("regular", "unshifted"), ("backward", "backward")])
        for row in some["results"]:
            self.assertIn(row, every["results"])


if __name__ == "__main__":
    unittest.main()

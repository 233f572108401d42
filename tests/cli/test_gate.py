"""--baseline and --tolerance: what a run's exit code says in CI, and what it prints with it."""
import json
import os
import unittest

import cli
from test_diff import RUN, T, Files

MASKS = ("--mask", "doc,regular")


class Gate(Files):
    def gate(self, *options, model=cli.MODEL, baseline="base", status=0, masks=MASKS):
        baseline = baseline if os.sep in baseline else self.file(baseline)
        place = () if "-T" in options else T
        return self.run_program("--model", model, *RUN, *place, *masks, "--baseline", baseline, *options, status=status)

    def gates(self, *options, **more):
        out = self.path("now.json")
        run = self.gate(*options, "-o", out, **more)
        return {g["name"]: g for g in self.read(out)["gates"]}, run

    def test_the_same_passes_with_no_tolerance_at_all(self):
        gates, run = self.gates("--tolerance", "0", "-q")
        self.assertEqual([g["difference"] for g in gates.values()], [0, 0])
        self.assertIn("## Gate: passed (2)", run.out)
        self.assertEqual(run.err, "")

    def test_worse_fails_and_names_the_rows(self):
        gates, run = self.gates("--tolerance", "0.001", model=self.worse, status=1)
        before, now = self.read(self.file("base"))["results"], self.read(self.path("now.json"))["results"]
        self.assertEqual(list(gates), ["doc, unshifted", "regular, unshifted"])
        for g, a, b in zip(gates.values(), before, now):
            self.assertFalse(g["passed"])
            self.assertEqual((g["baseline"], g["current"], g["tolerance"]), (a["loss"], b["loss"], 0.001))
            self.assertAlmostEqual(g["difference"], b["loss"] - a["loss"], delta=1e-12)
            self.assertIn(f"{b['loss']:.4f}", run.out)
        self.assertIn("2 of 2 gates failed: doc, unshifted: worse by", run.err)
        self.assert_one_line(run.err)

    def test_the_limit_itself_passes(self):
        a, b = (self.read(self.file(n))["results"][0]["loss"] for n in ("base", "worse"))
        self.gate("--tolerance", repr(b - a), model=self.worse, masks=("--mask", "doc"), baseline=self.only_doc())
        self.gate("--tolerance", repr((b - a) * (1 - 1e-9)), model=self.worse, masks=("--mask", "doc"), baseline=self.only_doc(), status=1)

    def only_doc(self):
        return self.measure("only-doc", "--mask", "doc")

    def test_the_default_is_a_hundredth_of_a_nat(self):
        gates, _ = self.gates()
        self.assertEqual([g["tolerance"] for g in gates.values()], [0.01, 0.01])

    def test_better_is_said_and_passes(self):
        gates, run = self.gates("--tolerance", "0", baseline="worse")
        for g in gates.values():
            self.assertTrue(g["passed"])
            self.assertIn("better by", g["message"])

    def test_standard_errors_are_paired(self):
        gates, _ = self.gates("--tolerance", "0.1se", model=self.worse, status=1)
        diff, _ = self.diff(self.file("base"), self.path("now.json"))
        for g, d in zip(gates.values(), diff["differences"]):
            self.assertAlmostEqual(g["tolerance"], 0.1 * d["stderr"], delta=1e-15)
            self.assertEqual(g["passed"], g["difference"] <= g["tolerance"])
        self.gates("--tolerance", "1000se", model=self.worse)

    def test_standard_errors_want_both_sidecars(self):
        run = self.gate("--tolerance", "2se", status=2)
        self.assertIn("-o NAME.json", run.err)
        alone = self.path("alone.json")
        os.symlink(self.file("base"), alone)
        run = self.gate("--tolerance", "2se", "-o", self.path("x.json"), baseline=alone, status=3)
        self.assertIn("alone.json", run.err)
        self.assertFalse(os.path.exists(self.path("x.json")))

    def test_without_a_sidecar_nats_will_do(self):
        alone = self.path("alone.json")
        os.symlink(self.file("base"), alone)
        self.gate(baseline=alone)
        self.gate("--tolerance", "0.001", model=self.worse, baseline=alone, status=1)

    def test_a_row_that_is_gone_fails_by_name(self):
        run = self.gate(masks=("--mask", "doc"), status=1)
        self.assertIn("1 of 2 gates failed: regular, unshifted: it is in the baseline, and not in these results", run.err)

    def test_a_row_that_is_new_is_not_held_to_it(self):
        run = self.gate(masks=("--mask", "doc,regular,full"))
        self.assertIn("Not in the baseline, so not held to it: full, unshifted.", run.out)

    def test_another_protocol_or_other_data_is_no_pass(self):
        for options, masks, differs in ((("--boundary", "drop"), MASKS, "boundary: keep -> drop"),
                                        (("-T", "64"), MASKS, "seq_len: 128 -> 64"),
                                        (("--max-docs", "6"), MASKS, "max_docs: 8 -> 6"),
                                        (("--positions", "continuous"), MASKS, "positions: reset -> continuous")):
            with self.subTest(differs):
                gates, run = self.gates(*options, masks=masks, status=2)
                self.assertIn(differs, run.err)
                self.assertIn("new baseline", run.err)
                self.assertFalse(next(iter(gates.values()))["passed"])
                self.assertIn("not comparable", run.out)

    def test_a_dtype_alone_is_given_room_and_said(self):
        gates, run = self.gates("--tolerance", "0", "--dtype", "bf16")
        for g in gates.values():
            self.assertEqual(g["tolerance"], 5e-3)
            self.assertNotEqual(g["difference"], 0)
        self.assertIn("differ from the baseline's protocol in the dtype of the arithmetic alone", " ".join(run.out.split()))
        self.gate("--tolerance", "0.001", "--dtype", "bf16", model=self.worse, status=1)

    def test_a_loss_that_is_no_number_fails(self):
        broken = self.read(self.file("base"))
        broken["results"][0]["loss"] = None
        run = self.gate(baseline=self.write("broken.json", json.dumps(broken)), status=1)
        self.assertIn("the baseline's loss is no number", run.err)

    def test_a_bad_baseline_is_said_before_the_run(self):
        with open(self.file("base"), "rb") as f:
            cut = self.write("cut.json", f.read()[:-100])
        for path, status in ((cut, 3), (self.path("none.json"), 3), (cli.MIXED, 3)):
            run = self.gate("-o", self.path("x.json"), baseline=path, status=status)
            self.assertIn(os.path.basename(path), run.err)
            self.assert_one_line(run.err)
            self.assertFalse(os.path.exists(self.path("x.json")))

    def test_a_bad_sidecar_is_said_before_the_run(self):
        for name, sums in (("cut", self.sidecar("base")[:200]), ("other", self.sidecar("worse"))):
            os.symlink(self.file("base"), self.path(name + ".json"))
            self.write(name + ".documents.jsonl.zst", sums)
            run = self.gate("-o", self.path("x.json"), baseline=self.path(name + ".json"), status=3)
            self.assertIn(name + ".documents.jsonl.zst", run.err)
            self.assertFalse(os.path.exists(self.path("x.documents.jsonl.zst")))

    def sidecar(self, name):
        with open(self.file(name)[:-5] + ".documents.jsonl.zst", "rb") as f:
            return f.read()

    def test_a_run_never_writes_over_its_baseline(self):
        base = self.measure("mine", *MASKS)
        with open(base, "rb") as f:
            before = f.read()
        for option in ("-o", base), ("-o", os.path.join(self.scratch, ".", "mine.json")), ("--profile", base):
            run = self.gate(*option, baseline=base, status=2)
            self.assertIn("write over its baseline", run.err)
        with open(base, "rb") as f:
            self.assertEqual(f.read(), before)

    def test_results_are_written_before_the_gate_speaks(self):
        self.gate("--tolerance", "0.001", "-o", self.path("now.json"), model=self.worse, status=1)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["now.documents.jsonl.zst", "now.json"])

    def test_what_it_refuses(self):
        for options, words in ((("--tolerance", "0.1"), "--baseline"), (("--baseline", "x", "--tolerance", "-1"), "--tolerance -1"),
                               (("--baseline", "x", "--tolerance", "nan"), "--tolerance nan"),
                               (("--baseline", "x", "--tolerance", "se"), "--tolerance se")):
            run = self.run_program("--model", cli.MODEL, *RUN, *options, status=2)
            self.assertIn(words, run.err)

    def test_the_report_of_the_results_shows_the_gate_again(self):
        _, run = self.gates("--tolerance", "0.001", model=self.worse, status=1)
        again = self.run_program("report", self.path("now.json"))
        self.assertEqual(again.out, run.out)


class StepSummary(Files):
    def summary(self, path, *arguments, status=0):
        return self.run_program(*arguments, status=status, env={**os.environ, "GITHUB_STEP_SUMMARY": path})

    def test_reports_are_appended(self):
        path = self.write("summary.md", "before\n")
        one = self.summary(path, "--model", cli.MODEL, *RUN, *T, "--markdown-style", "github")
        two = self.summary(path, "diff", self.file("base"), self.file("worse"), "--markdown-style", "github")
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), "before\n" + one.out + two.out)

    def test_an_empty_name_is_none(self):
        self.assertEqual(self.summary("", "diff", self.file("base"), self.file("worse")).err, "")

    def test_a_summary_that_cannot_be_written_fails_nothing(self):
        run = self.summary(self.path("no/where"), "diff", self.file("base"), self.file("worse"))
        self.assertIn("GITHUB_STEP_SUMMARY", run.err)
        large = self.write("large.md", "x" * (1 << 20))
        self.assertIn("1 MiB", self.summary(large, "diff", self.file("base"), self.file("worse")).err)
        self.assertEqual(os.path.getsize(large), 1 << 20)


if __name__ == "__main__":
    unittest.main()

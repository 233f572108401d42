"""evalmask diff: results files side by side, paired by document where the sidecars are there, refused where they measured
different things."""
import json
import math
import os
import struct
import subprocess
import unittest

import cli

RUN = ("--data", cli.MIXED, "-B", "3", "-q", "--max-docs", "8")
T = ("-T", "128")


def other_model(path, factor):
    """The bundled model with one matrix scaled: another checkpoint of the same shape."""
    with open(cli.MODEL, "rb") as f:
        data = bytearray(f.read())
    header = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:8 + header])
    tensor = next(t for n, t in tensors.items() if n.endswith("layers.1.mlp.down_proj.weight"))
    assert tensor["dtype"] == "BF16", tensor
    begin, end = (8 + header + x for x in tensor["data_offsets"])
    for i in range(begin, end, 2):      # bf16: the upper half of an f32
        value = struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] * factor
        data[i:i + 2] = struct.pack("<f", value)[2:]
    with open(path, "wb") as f:
        f.write(data)
    return path


class Files(cli.Case):
    """Results of the bundled model and of a worse one; measured once."""
    @classmethod
    def setUpClass(cls):
        import tempfile
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.worse = other_model(os.path.join(cls.folder, "worse.bin"), -1)
        for name, model in (("base", cli.MODEL), ("worse", cls.worse)):
            subprocess.run([cli.EVALMASK, "--model", model, *RUN, *T, "--mask", "doc,regular", "-o", cls.file(name)], check=True,
                           stdout=subprocess.DEVNULL, timeout=cli.LIMIT)

    @classmethod
    def file(cls, name):
        return os.path.join(cls.folder, name + ".json")

    def read(self, path):
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    def diff(self, a, b, *options, status=0):
        """JSON of a diff, and the run."""
        out = self.path("diff.json")
        if os.path.exists(out):
            os.remove(out)
        run = self.run_program("diff", a, b, "-o", out, *options, status=status)
        return (self.read(out) if os.path.exists(out) else None), run

    def measure(self, name, *options):
        out = self.path(name + ".json")
        self.run_program("--model", cli.MODEL, *RUN, *(() if "-T" in options else T), *options, "-o", out)
        return out


class Diff(Files):
    def test_a_file_and_itself(self):
        got, run = self.diff(self.file("base"), self.file("base"))
        self.assertEqual([(d["difference"], d["stderr"], d["low"], d["high"]) for d in got["differences"]], 2 * [(0, 0, None, None)])
        self.assertIn("the same weights", run.out)
        self.assertIn("it wants 100 groups", " ".join(run.out.split()))
        self.assertLessEqual(max(map(len, run.out.splitlines())), 80 + len(self.folder) * 2)

    def test_paired_as_the_comparison_of_one_run(self):
        """Two files give what --compare gives in one run, where groups are documents."""
        got, run = self.diff(self.file("base"), self.file("worse"))
        both = self.path("both.json")
        self.run_program("--model", cli.MODEL, "--compare", self.worse, *RUN, *T, "--mask", "doc,regular", "-o", both)
        for d, c in zip(got["differences"], self.read(both)["comparisons"]):
            self.assertTrue(d["paired"])
            self.assertEqual(d["predictions"], c["predictions"])
            self.assertAlmostEqual(d["difference"], c["difference"], delta=1e-12)
            if c["grouped_by"] == "document":
                for key in "stderr", "low", "high", "documents_to_resolve", "groups":
                    if c[key] is None:
                        self.assertIsNone(d[key], key)
                    else:
                        self.assertAlmostEqual(d[key], c[key], delta=1e-12, msg=key)
        self.assertEqual(got["differences"][0]["result"], "doc, unshifted")
        self.assertIn("crosses documents", " ".join(run.out.split()))
        self.assertGreater(got["differences"][0]["difference"], 0)

    def test_subsets_add_up(self):
        got, run = self.diff(self.file("base"), self.file("worse"))
        for d in got["differences"]:
            total = sum(s["predictions"] * s["difference"] for s in d["subsets"])
            self.assertEqual(sum(s["predictions"] for s in d["subsets"]), d["predictions"])
            self.assertAlmostEqual(total / d["predictions"], d["difference"], delta=1e-9)
        self.assertEqual([s["subset"] for s in d["subsets"]], [s["subset"] for s in self.read(self.file("base"))["results"][0]["subsets"]])
        self.assertIn("## By subset: regular, unshifted", run.out)

    def test_markdown_fits(self):
        for name in "base", "worse":
            for ending in ".json", ".documents.jsonl.zst":
                os.symlink(self.file(name)[:-5] + ending, self.path(name + ending))
        run = self.run_program("diff", "base.json", "worse.json", "-o", "d.md", cwd=self.scratch)
        self.assertLessEqual(max(map(len, run.out.splitlines())), 80)
        with open(self.path("d.md"), encoding="utf-8") as f:
            self.assertEqual(f.read(), run.out)

    def test_a_page_is_whole(self):
        page = self.path("d.html")
        self.run_program("diff", self.file("base"), self.file("worse"), "--tolerance", "0.001", "-o", page, status=1)
        with open(page, encoding="utf-8") as f:
            text = f.read()
        self.assertTrue(text.startswith("<!doctype html>") and text.endswith("</html>\n"))
        for words in "Gate: FAILED (2 of 2)", "By subset: doc, unshifted", "Paired by document":
            self.assertIn(words, text)

    def test_without_a_sidecar_nothing_is_paired(self):
        alone = self.path("alone.json")
        os.symlink(self.file("worse"), alone)
        got, run = self.diff(self.file("base"), alone)
        a, b = (self.read(self.file(n))["results"][0] for n in ("base", "worse"))
        d = got["differences"][0]
        self.assertFalse(d["paired"])
        self.assertIsNone(d["low"])
        self.assertAlmostEqual(d["stderr"], math.hypot(a["stderr"], b["stderr"]), delta=1e-12)
        self.assertIn("is not there beside " + alone, run.out.replace("\n  ", " "))

    def test_a_sidecar_of_another_run_is_refused(self):
        mine = self.path("mine.json")
        os.symlink(self.file("worse"), mine)
        os.symlink(self.file("base")[:-5] + ".documents.jsonl.zst", self.path("mine.documents.jsonl.zst"))
        _, run = self.diff(self.file("base"), mine, status=3)
        self.assertIn("are not of one run", run.err)

    def test_a_broken_sidecar_is_refused(self):
        mine = self.path("mine.json")
        os.symlink(self.file("base"), mine)
        with open(self.file("base")[:-5] + ".documents.jsonl.zst", "rb") as f:
            self.write("mine.documents.jsonl.zst", f.read()[:100])
        _, run = self.diff(self.file("base"), mine, status=3)
        self.assertIn("mine.documents.jsonl.zst", run.err)
        self.assert_one_line(run.err)

    def test_other_measures_are_refused_and_named(self):
        for options, differs in ((("--mask", "doc,regular", "--boundary", "drop"), "boundary: keep -> drop"),
                                 (("--mask", "doc,regular", "--max-docs", "6"), "max_docs: 8 -> 6"),
                                 (("--mask", "doc,regular", "-T", "64"), "seq_len: 128 -> 64"),
                                 (("--mask", "doc,regular", "--tail", "drop"), "tail: pad -> drop"),
                                 (("--mask", "doc,regular", "--labels", "raw-shifted"), "labels: unshifted -> raw-shifted")):
            with self.subTest(differs):
                other = self.measure("other", *options)
                got, run = self.diff(self.file("base"), other, status=2)
                self.assertIsNone(got)
                self.assertIn(differs, run.err)
                self.assertIn("--anyway", run.err)
                self.assert_one_line(run.err)

    def test_anyway_marks_the_rows(self):
        other = self.measure("other", "--mask", "doc,regular", "--boundary", "drop")
        got, run = self.diff(self.file("base"), other, "--anyway")
        self.assertEqual({d["measure"] for d in got["differences"]}, {"other measure"})
        self.assertIn("doc, unshifted (*)", run.out)
        self.assertIn("boundary: keep -> drop", got["differences"][0]["differs"])
        self.assertFalse(got["differences"][0]["paired"])       # other predictions

    def test_masks_anyway_are_paired_on_the_same_predictions(self):
        doc, regular = self.measure("doc", "--mask", "doc"), self.measure("regular", "--mask", "regular")
        _, run = self.diff(doc, regular, status=2)
        self.assertIn("mask: doc -> regular", run.err)
        got, _ = self.diff(doc, regular, "--anyway")
        self.assertTrue(got["differences"][0]["paired"])

    def test_one_dtype_and_another(self):
        other = self.measure("other", "--mask", "doc,regular", "--dtype", "bf16")
        got, run = self.diff(self.file("base"), other)
        self.assertEqual({d["measure"] for d in got["differences"]}, {"other dtype"})
        self.assertIn("compute dtype: f32 -> bf16", run.out)

    def test_results_without_a_partner_are_listed(self):
        other = self.measure("other", "--mask", "doc,full")
        got, run = self.diff(self.file("base"), other)
        self.assertEqual([d["result"] for d in got["differences"]], ["doc, unshifted"])
        self.assertEqual((got["only_before"], got["only_after"]), (["regular, unshifted"], ["full, unshifted"]))
        self.assertIn("full, unshifted.", run.out)

    def test_several_data_sets_and_row_lengths(self):
        a = self.path("a.json")
        sets = ("--data", "x=" + cli.MIXED, "--data", "y=" + cli.MIXED, "-T", "64,128", "-q", "--mask", "doc", "--max-docs", "5")
        self.run_program("--model", cli.MODEL, *sets, "-o", a)
        b = self.path("b.json")
        self.run_program("--model", self.worse, *sets, "-o", b)
        got, _ = self.diff(a, b)
        self.assertEqual([(d["result"], d["paired"]) for d in got["differences"]],
                         [(f"{s}, doc, unshifted, T {t}", True) for s in "xy" for t in (64, 128)])
        self.assertEqual(got["differences"][0]["difference"], got["differences"][2]["difference"])

    def test_a_tolerance_makes_it_a_gate(self):
        got, run = self.diff(self.file("base"), self.file("worse"), "--tolerance", "0.001", status=1)
        self.assertEqual([g["passed"] for g in got["gates"]], [False, False])
        self.assertIn("## Gate: FAILED (2 of 2)", run.out)
        self.assertIn("doc, unshifted", run.err)
        got, run = self.diff(self.file("base"), self.file("worse"), "--tolerance", "100")
        self.assertEqual([g["passed"] for g in got["gates"]], [True, True])
        got, _ = self.diff(self.file("worse"), self.file("base"), "--tolerance", "0")
        self.assertTrue(all(g["passed"] and g["difference"] < 0 for g in got["gates"]))

    def test_what_it_refuses(self):
        base, worse = self.file("base"), self.file("worse")
        for arguments, status, words in (((base,), 2, "two results files"), ((base, "/no/such.json"), 3, "/no/such.json"),
                                         ((base, worse, "-o", "x.csv"), 2, ".md, .json or .html"), ((base, worse, "-o", worse), 2, "write over"),
                                         ((base, worse, "--tolerance", "2s"), 2, "--tolerance 2s"), ((base, cli.MIXED), 3, "mixed.jsonl")):
            run = self.run_program("diff", *arguments, status=status)
            self.assertIn(words, run.err)
            self.assert_one_line(run.err)


if __name__ == "__main__":
    unittest.main()

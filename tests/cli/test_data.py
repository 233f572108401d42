"""Where data comes from, which records are taken, and what broken data says."""
import json
import os
import subprocess
import unittest

import cli


def jsonl(items):
    return "".join(json.dumps(r) + "\n" for r in items)


class Data(cli.Case):
    def test_bundled_sample_says_so(self):
        run = self.run_program("--model", cli.MODEL, "--max-docs", "2")
        self.assertIn("No --data was given: this is the bundled sample shard.", run.out)
        self.assertIn("bundled sample", run.err)
        self.assertEqual(self.evaluate("--max-docs", "2", "--data", cli.SAMPLE).count(b"bundled"), 0)

    def test_named_data_sets_are_rows_with_means(self):
        parts = {"a": cli.records()[:9], "b": cli.records()[9:]}
        data = [x for name, items in parts.items()
                for x in ("--data", f"{name}={self.write(name + '.jsonl', jsonl(items))}")]
        got = self.results(*data, "-T", "128", "--mask", "doc,regular")
        self.assertEqual([(r["data_set"], r["mask"]) for r in got["results"]],
                         [(name, mask) for name in "ab" for mask in ("doc", "regular")])
        self.assertEqual([d["documents"] for d in got["data_sets"]], [9, 14])
        self.assertEqual(got["data"]["documents"], 23)
        for mean in got["means"]:
            of = [r for r in got["results"] if r["mask"] == mean["mask"]]
            self.assertAlmostEqual(mean["loss_macro"], sum(r["loss"] for r in of) / 2, 12)
            self.assertAlmostEqual(mean["loss_micro"], sum(r["loss"] * r["predictions"] for r in of) /
                                   sum(r["predictions"] for r in of), 12)
        alone = self.results("--data", "a=" + self.path("a.jsonl"), "-T", "128")["results"][0]
        self.assertEqual(alone, got["results"][0])

    def test_one_name_for_several_paths_is_one_stream(self):
        items = cli.records()
        a, b = self.write("a.jsonl", jsonl(items[:9])), self.write("b.jsonl", jsonl(items[9:]))
        got = self.results("--data", f"x={a}", "--data", f"x={b}", "-T", "128")["results"]
        want = self.results("--data", f"x={cli.MIXED}", "-T", "128")["results"]
        self.assertEqual(got, want)

    def test_a_subset_that_no_record_is_of(self):
        run = self.run_program("--model", cli.MODEL, "--data", cli.MIXED, "--subset", "Wiki", status=3)
        self.assertIn("no record is of --subset Wiki: 23 are of other groups", run.err)

    def test_a_subset_that_others_hide(self):
        got = self.results("--data", cli.MIXED, "--subset", "RustRFCs", "--subset", "Typo", "--subset", "Inaugural", "-q", "-T", "64")
        self.assertEqual([n for n in got["notes"] if "--subset" in n], ["--subset Typo: no prediction is of this group."])
        got = self.results("--data", cli.MIXED, "--subset", "RustRFCs", "-q", "-T", "64")
        self.assertFalse([n for n in got["notes"] if "--subset" in n])

    def test_max_docs_counts_after_the_subset_filter(self):
        got = self.results("--data", cli.MIXED, "--subset", "RustRFCs", "--max-docs", "3")
        self.assertEqual([s["subset"] for s in got["results"][0]["subsets"]], ["RustRFCs"])
        self.assertEqual(got["data"]["documents"], 3)
        self.assertGreater(got["data"]["filtered_records"], 0)

    def test_keys(self):
        items = [{"body": r["text"], "kind": {"of": r.get("meta", {}).get("pile_set_name", "")}} for r in cli.records()]
        path = self.write("renamed.jsonl", jsonl(items))
        got = self.results("--data", path, "-T", "128", "--text-key", "body", "--group-by", "kind.of")["results"]
        self.assertEqual(got, self.results("--data", cli.MIXED, "-T", "128")["results"])

    def test_plain_text_is_one_document(self):
        text = cli.records()[1]["text"]
        got = self.results("--data", self.write("a.txt", text))
        self.assertEqual((got["data"]["documents"], got["data"]["bytes"]), (1, len(text.encode())))

    def test_data_that_goes_on_without_end(self):
        """--max-docs stops reading a pipe whose writer would never stop."""
        line = jsonl(cli.records()[:3])
        yes = subprocess.Popen(["yes", line.rstrip("\n")], stdout=subprocess.PIPE)
        try:
            got = self.results("--data", "-", "--max-docs", "5", stdin=yes.stdout)
        finally:
            yes.stdout.close()
            yes.kill()
            yes.wait()
        self.assertEqual(got["data"]["documents"], 5)

    def bad(self, content, message, *arguments, status=3, name="bad.jsonl"):
        path = self.write(name, content)
        run = self.run_program("--model", cli.MODEL, "--data", path, *arguments, status=status)
        self.assert_one_line(run.err)
        self.assertIn(path, run.err)
        self.assertIn(message, run.err)
        return run

    def test_broken_records_name_file_record_and_byte(self):
        good = '{"text": "fine"}\n'
        for record, message in (('{"text": 3}', "a number, not a string"), ('{"text": "a" "b"}', "record 2, byte"),
                                ('{"meta": {}}', "text"), ('{"text": "\\ud800"}', "record 2, byte"), ("[1]", "record 2, byte"),
                                ('{"text": ' + "[" * 100000, "record 2, byte")):
            with self.subTest(record[:40]):
                self.bad(good + record + "\n" + good, message)
        self.bad(b'{"text": "fine"}\n{"text": "\xff"}\n', "record 2, byte")

    def test_skipped_records_are_counted_and_shown(self):
        path = self.write("bad.jsonl", jsonl(cli.records()[:2]) + '{"text": 3}\n' + jsonl(cli.records()[2:]))
        run = self.run_program("--model", cli.MODEL, "--data", path, "-T", "128", "--skip-bad-records",
                               "-o", self.path("r.json"))
        with open(self.path("r.json"), encoding="utf-8") as f:
            got = json.load(f)
        self.assertEqual((got["data"]["documents"], got["data"]["bad_records"]), (23, 1))
        self.assertEqual(got["results"], self.results("--data", cli.MIXED, "-T", "128")["results"])
        self.assertIn("skipped, the first:", run.out)

    def test_a_weight_that_is_nan_is_named_with_its_checkpoint(self):
        with open(cli.MODEL, "rb") as f:
            model = bytearray(f.read())
        size = int.from_bytes(model[:8], "little")
        name = "model.layers.3.mlp.up_proj.weight"
        end = 8 + size + json.loads(model[8:8 + size])[name]["data_offsets"][1]
        model[end - 2:end] = b"\xc0\x7f"
        path = self.write("nan.bin", bytes(model))
        for command in ([], ["audit"]):
            run = self.run_program(*command, "--model", path, "--data", cli.MIXED, "-T", "128", "-q", status=3)
            self.assertEqual(run.out, "")
            self.assert_one_line(run.err)
            self.assertTrue(run.err.startswith(f"evalmask: {path}: tensor {name}: "), run.err)

    def test_a_truncated_file_is_no_end_of_data(self):
        with open(cli.SAMPLE, "rb") as f:
            frame = f.read(20000)
        self.bad(frame, "truncated", name="bad.jsonl.zst")
        self.bad(frame, "truncated", "--skip-bad-records", name="bad.jsonl.zst")

    def test_empty_data(self):
        self.bad("", "no prediction to score")

    def test_a_directory_as_it_is_downloaded(self):
        os.makedirs(self.path("set/data/deep"))
        records = cli.records()
        self.write("set/README.md", "# no data\n")
        self.write("set/data/a.jsonl", jsonl(records[:5]))
        self.write("set/data/deep/part-0", jsonl(records[5:9]))
        self.write("set/z.jsonl", jsonl(records[9:]))
        self.write("set/data/evil\x1b]0;t\x07\u202e.bin", "x")
        self.write("set/data/train.parquet", "PAR1\x15\x04")
        run = self.run_program("--model", cli.MODEL, "--data", self.path("set"), "-T", "128", "-q", "-o", self.path("r.json"))
        with open(self.path("r.json"), encoding="utf-8") as f:
            got = json.load(f)
        self.assertEqual(got["results"], self.results("--data", cli.MIXED, "-T", "128")["results"])
        note = next(x for x in got["notes"] if "left out" in x)
        self.assertIn("3 files there are no data and were left out: README.md, data/evil\\x1b]0;t\\x07\\u202e.bin, data/train.parquet",
                      note)
        self.assertNotIn("\x1b", run.out)
        run = self.run_program("inspect", "--model", cli.MODEL, "--data", self.path("set"), "-q")
        self.assertIn("3 files there are no data", run.out)

    def test_results_of_a_directory_without_data(self):
        os.mkdir(self.path("papers"))
        self.write("papers/README.md", "x")
        self.write("papers/a.pdf", "%PDF-1.5")
        run = self.run_program("--model", cli.MODEL, "--data", self.path("papers"), status=3)
        self.assertIn("holds no data: JSON lines with \"text\", or .txt; 2 other files: README.md, a.pdf", run.err)
        os.mkdir(self.path("empty"))
        run = self.run_program("--model", cli.MODEL, "--data", self.path("empty"), status=3)
        self.assert_one_line(run.err)


if __name__ == "__main__":
    unittest.main()

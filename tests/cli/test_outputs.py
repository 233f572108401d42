"""What a run writes: whole files or none, complete and the same every time."""
import json
import math
import os
import resource
import shutil
import subprocess
import unittest

import cli

SMALL = ("--data", cli.MIXED, "-T", "128", "-B", "3")
# docs/protocol.md and the reports' readers rely on these.
TOP = {"evalmask", "protocol", "data", "results"}
RESULT = {"model", "mask", "labels", "offset", "alpha", "depth", "seq_len", "batch", "positions", "predictions", "loss",
          "loss_batch_mean", "loss_doc_mean", "loss_no_boundary", "perplexity", "bits_per_byte", "bits_per_byte_all", "top1",
          "stderr", "groups", "leak", "fingerprints"}


def unzst(path):
    return subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.decode()


class Outputs(cli.Case):
    def test_results_json_has_every_field(self):
        got = self.results(*SMALL, "--mask", "doc,flip0")
        self.assertLessEqual(TOP, set(got))
        self.assertEqual(set(got["data"]) & {"documents", "tokens", "bytes", "rows", "batches"},
                         {"documents", "tokens", "bytes", "rows", "batches"})
        for r in got["results"]:
            self.assertLessEqual(RESULT, set(r))
            self.assertIsNone(r["alpha"])
            self.assertIsNone(r["depth"])
            for key in ("data", "protocol", "model"):
                self.assertRegex(r["fingerprints"][key], "^[0-9a-f]{16}$")
        self.assertEqual([r["leak"] for r in got["results"]], [False, True])

    def test_results_json_is_the_same_every_time_and_tells_nothing_of_the_machine(self):
        first = self.evaluate(*SMALL, "--threads", "1")
        self.assertEqual(first, self.evaluate(*SMALL, "--threads", "2"))
        text = first.decode()
        for word in (os.uname().nodename, cli.ROOT, self.scratch, "second", "thread", "memory"):
            self.assertNotIn(f'"{word}', text)

    def test_every_output_of_one_run(self):
        run = self.run_program("--model", cli.MODEL, *SMALL, "-o", self.path("r.json"), "-o", self.path("r.md"), "--tokens",
                               self.path("t.jsonl"), "--profile", self.path("p.json"))
        with open(self.path("r.md"), encoding="utf-8") as f:
            self.assertEqual(run.out, f.read())
        self.assertTrue(run.out.startswith("# "))
        self.assertLessEqual(max(map(len, run.out.splitlines())), 80)
        with open(self.path("p.json"), encoding="utf-8") as f:
            self.assertGreater(json.load(f)["tokens_per_second"], 0)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["p.json", "r.documents.jsonl.zst", "r.json", "r.md", "t.jsonl"])

    def test_tokens_add_up_to_the_loss_and_compress_by_name(self):
        got = self.results(*SMALL, "--tokens", self.path("t.jsonl"))["results"][0]
        self.evaluate(*SMALL, "--tokens", self.path("t.jsonl.zst"))
        with open(self.path("t.jsonl"), encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(text, unzst(self.path("t.jsonl.zst")))
        nll = [json.loads(line)["nll"]["base|doc|unshifted||"] for line in text.splitlines()]
        self.assertEqual(len(nll), got["predictions"])
        self.assertTrue(math.isclose(math.fsum(nll) / len(nll), got["loss"], rel_tol=1e-12))

    def test_sidecar_adds_up_to_the_loss(self):
        got = self.results(*SMALL, "--mask", "doc,regular")["results"]
        lines = [json.loads(line) for line in unzst(self.path("evaluate.documents.jsonl.zst")).splitlines()]
        texts = cli.records()
        self.assertEqual([x["document"] for x in lines], list(range(len(texts))))
        self.assertEqual([x["bytes"] for x in lines], [len(t["text"].encode()) for t in texts])
        self.assertEqual([x["subset"] for x in lines], [t.get("meta", {}).get("pile_set_name", "") for t in texts])
        for i, r in enumerate(got):
            self.assertEqual(sum(x["predictions"][i] for x in lines), r["predictions"])
            self.assertTrue(math.isclose(math.fsum(x["nll"][i] for x in lines) / r["predictions"], r["loss"], rel_tol=1e-12))

    def test_stdout_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            for arguments in (("--model", cli.MODEL, *SMALL, "-q"), ("--help",), ("help", "--man"), ("version",),
                              ("audit", "--mask", "doc", "-T", "16"), ("tokenize", "--tokenizer", cli.MODEL, cli.MIXED),
                              ("inspect", "--model", cli.MODEL, *SMALL[:4])):
                with self.subTest(arguments):
                    run = subprocess.run([cli.EVALMASK, *arguments], stdout=full, stderr=subprocess.PIPE, text=True,
                                         timeout=cli.LIMIT)
                    self.assertEqual(run.returncode, 4, run.stderr)
                    self.assert_one_line(run.stderr)

    def test_a_reader_that_goes_away(self):
        run = subprocess.Popen([cli.EVALMASK, "tokenize", "--tokenizer", cli.MODEL, cli.SAMPLE], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        run.stdout.read(100)
        run.stdout.close()
        self.assertEqual(run.wait(cli.LIMIT), 4)
        self.assert_one_line(run.stderr.read().decode())
        run.stderr.close()

    def full_disk(self, *arguments, size):
        """Writes beyond `size` bytes of a file fail, as on a full disk."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        # Python ignores SIGXFSZ, and restore_signals=False lets the program inherit that: write() fails with EFBIG
        return self.run_program("--model", cli.MODEL, *SMALL, "-q", *arguments, status=4, preexec_fn=limit,
                                restore_signals=False)

    def test_full_disk_leaves_nothing_behind(self):
        for arguments in (("-o", self.path("r.json")), ("-o", self.path("r.json"), "-o", self.path("r.md")),
                          ("--tokens", self.path("t.jsonl")), ("--tokens", self.path("t.jsonl.zst"))):
            with self.subTest(arguments):
                run = self.full_disk(*arguments, size=512)
                self.assert_one_line(run.err)
                self.assertIn("cannot be written", run.err)
                self.assertEqual(os.listdir(self.scratch), [])

    def test_what_is_read_is_never_written_over(self):
        """By inode, through links; refused before anything is written, whatever the input is for."""
        def copy(source, name):
            return shutil.copy(source, self.path(name))
        data, model, page = copy(cli.MIXED, "d.jsonl"), copy(cli.MODEL, "m.bin"), copy(cli.MIXED, "x.json")
        os.mkdir(self.path("dir"))
        inside = copy(cli.MIXED, "dir/in.jsonl")
        os.symlink("d.jsonl", self.path("link.jsonl"))
        os.link(data, self.path("hard.jsonl"))
        base = ("--model", model, "-T", "64", "--max-docs", "2", "-q")
        self.write("c.json", json.dumps({"options": {"max-docs": 2}}))
        adapter = shutil.copytree(os.path.join(cli.ROOT, "data/bard-lora"), self.path("lora"))
        before = {name: self.content(name) for name in self.files()}
        for arguments, words in (
                ((*base, "--data", data, "--tokens", data), "its data"),
                ((*base, "--data", data, "--tokens", self.path("link.jsonl")), "its data"),
                ((*base, "--data", data, "--tokens", self.path("hard.jsonl")), "its data"),
                ((*base, "--data", self.path("link.jsonl"), "--profile", data), "its data"),
                ((*base, "--data", page, "-o", page), "its data"),
                ((*base, "--data", "a=" + data, "--data", "b=" + page, "-o", page), "its data"),
                ((*base, "--data", self.path("dir"), "--tokens", inside), "its data"),
                ((*base, "--data", data, "--profile", model), "its model"),
                ((*base, "--data", data, "--compare", cli.MODEL, "--profile", model), "its model"),
                ((*base, "--data", data, "--tokenizer", model, "--profile", model), "its model"),
                (("--model", cli.MODEL, "--adapter", adapter, "-T", "64", "-q", "--data", data, "-o",
                  self.path("lora/adapter_config.json")), "its model"),
                (("--model", cli.MODEL, "--tokenizer", model, "-T", "64", "-q", "--data", data, "--profile", model), "its tokenizer"),
                ((*base, "--data", data, "--config", self.path("c.json"), "-o", self.path("c.json")), "its config"),
                (("convert", model, model), "its source"),
                (("convert", model, self.path("lora/../m.bin")), "its source")):
            with self.subTest(arguments):
                run = self.run_program(*arguments, status=2)
                self.assert_one_line(run.err)
                self.assertIn("would write over " + words, run.err)
                self.assertEqual({name: self.content(name) for name in self.files()}, before)
        with open(data, "rb") as f:
            run = self.run_program(*base, "--data", "-", "--tokens", data, status=2, stdin=f)
        self.assertIn("its data, -", run.err)
        self.run_program(*base, "--data", data, "-o", self.path("r.json"))
        for arguments in (("report", "r.json", "-o", "r.json"), ("diff", "r.json", "r.json", "-o", "./r.json")):
            with self.subTest(arguments):
                self.assertIn("write over", self.run_program(*arguments, status=2, cwd=self.scratch).err)

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.scratch)
                      for folder, _, names in os.walk(self.scratch) for name in names)

    def content(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def test_what_cannot_be_written_is_said_before_the_work(self):
        for option, name in (("-o", "none/r.md"), ("-o", "none/r.json"), ("--profile", "none/p.json"), ("--profile", "")):
            with self.subTest(f"{option} {name}"):
                run = self.run_program("--model", cli.MODEL, *SMALL, option, self.path(name), status=4)
                self.assertEqual(run.out, "")
                self.assert_one_line(run.err)
        run = self.run_program("--model", cli.MODEL, *SMALL, "-o", self.path("r.json"), "--profile", self.path("r.json"), status=2)
        self.assertIn("two outputs", run.err)
        self.assertEqual(os.listdir(self.scratch), [])

    def test_one_file_under_two_names(self):
        os.mkdir(self.path("folder"))
        os.symlink("folder", self.path("other"))
        for one, two in (("r.md", "./r.md"), ("folder/r.md", "other/r.md"), ("folder/../r.csv", self.path("r.csv"))):
            with self.subTest(two):
                run = self.run_program("--model", cli.MODEL, *SMALL, "-o", one, "-o", two, cwd=self.scratch, status=2)
                self.assertIn("two outputs would be written to this file", run.err)
        self.run_program("--model", cli.MODEL, *SMALL, "-o", "r.md", "-o", "folder/r.md", cwd=self.scratch)
        self.assertTrue(os.path.exists(self.path("other/r.md")))

    def test_bad_data_leaves_earlier_results_alone(self):
        bad = self.write("bad.jsonl", "".join(json.dumps(r) + "\n" for r in [*cli.records(), {"text": 3}]))
        self.write("r.json", "earlier")
        self.write("r.documents.jsonl.zst", "earlier")
        before = sorted(os.listdir(self.scratch))
        self.run_program("--model", cli.MODEL, "--data", bad, "-o", self.path("r.json"), "--tokens", self.path("t.jsonl"),
                         status=3)
        self.assertEqual(sorted(os.listdir(self.scratch)), before)
        for name in ("r.json", "r.documents.jsonl.zst"):
            with open(self.path(name), encoding="utf-8") as f:
                self.assertEqual(f.read(), "earlier")

    def test_convert_leaves_nothing_behind_on_a_full_disk(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        self.run_program("convert", cli.MODEL, self.path("m.bin"), status=4, preexec_fn=limit, restore_signals=False)
        self.assertEqual(os.listdir(self.scratch), [])

    def test_quiet_says_nothing_on_stderr(self):
        self.assertEqual(self.run_program("--model", cli.MODEL, "--max-docs", "2", "-q").err, "")


if __name__ == "__main__":
    unittest.main()

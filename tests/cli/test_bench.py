"""evalmask bench: the whole program, measured on a small random model."""
import json
import os
import signal
import subprocess
import time
import unittest

import cli

SMALL = ("bench", "--shape", "tiny-llama", "-T", 256, "--rows", 3, "--repeat", 1, "--lengths", 100)


class Bench(cli.Case):
    def bench(self, *arguments, **more):
        out = self.path("bench.json")
        environment = {**os.environ, "TMPDIR": self.scratch}
        run = self.run_program(*arguments, "-o", out, env=environment, **more)
        with open(out, encoding="utf-8") as f:
            return run.out, json.load(f)

    def test_counts_what_it_ran(self):
        text, found = self.bench(*SMALL, "--repeat", 2)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertEqual((found["rows"], found["documents"], found["seq_len"], len(found["jobs"])), (3, 8, 256, 1))
        # 769 tokens in documents of 100: 7 whole ones and 69 tokens of the 8th
        runs = found["jobs"][0]["runs"]
        self.assertEqual([r["tokens"] for r in runs], [769, 769])
        self.assertGreater(runs[0]["peak_memory_bytes"], 10 << 20)
        self.assertEqual(os.listdir(self.scratch), ["bench.json"])      # the random model is gone

    def test_arithmetic(self):
        for mask, keys in (("regular", 3 * 256 * 257 // 2), ("doc", None)):
            flops = self.bench(*SMALL, "--mask", mask)[1]["jobs"][0]["runs"][0]["flops"]
            tokens, layers, hidden = 768, 6, 192
            self.assertEqual(flops["qkv"], 2 * tokens * layers * hidden * (192 + 2 * 96))
            self.assertEqual(flops["output"], 2 * tokens * layers * hidden * 192)
            self.assertEqual(flops["ffn"], 6 * tokens * layers * hidden * 512)
            self.assertEqual(flops["head"], 2 * 3 * 255 * hidden * 4096)        # a row has T - 1 predictions
            cut = sorted({0, 768, *range(0, 768, 100), *range(0, 768, 256)})
            keys = keys or sum((b - a) * (b - a + 1) // 2 for a, b in zip(cut, cut[1:]))
            self.assertAlmostEqual(flops["attention"] / (4 * layers * 192 * keys), 1, places=5)

    def test_several_at_once_and_apart(self):
        text, found = self.bench(*SMALL, "--alpha=-1:1:0.5", "--mask", "doc,regular")
        self.assertIn("Together over apart (4 runs", text)
        self.assertGreater(found["together_over_apart"]["median"], 0)
        self.assertEqual([j["masks"] for j in found["jobs"]], [["doc", "regular"]] + 2 * [["doc"], ["regular"]])

    def test_depths_beside_one_head_each(self):
        text, found = self.bench(*SMALL, "--depth", "all")
        self.assertIn("--depth all", text)
        self.assertIn("and a head a depth", text)
        deep, plain = (job["runs"][0]["flops"] for job in found["jobs"])
        self.assertEqual(deep["ffn"], plain["ffn"])
        self.assertIn(deep["head"] / plain["head"], (6, 7))     # 6 layers, and none at all
        self.assertGreater(found["together_over_apart"]["median"], 0)

    def test_lengths_as_in_the_pile(self):
        found = self.bench("bench", "--shape", "tiny-llama", "--rows", 40, "--repeat", 1)[1]
        self.assertTrue(1100 < 40 * 1024 / found["documents"] < 1700, found["documents"])      # their mean is 1378

    def test_a_model_and_data_of_ones_own(self):
        found = self.bench("bench", "--model", cli.MODEL, "--data", cli.MIXED, "--repeat", 1)[1]
        self.assertEqual(found["jobs"][0]["runs"][0]["tokens"], 4692)

    def test_a_kept_model_is_used_again(self):
        kept = self.path("kept.bin")
        self.bench(*SMALL, "--keep-model", kept)
        written = os.stat(kept).st_mtime_ns
        self.bench(*SMALL, "--keep-model", kept)
        self.assertEqual(os.stat(kept).st_mtime_ns, written)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["bench.json", "kept.bin"])
        run = self.run_program("bench", "--shape", "smollm-135m", "--keep-model", kept, status=3)
        self.assertIn("another shape", run.err)

    def test_no_folder_for_the_model(self):
        environment = {**os.environ, "TMPDIR": self.path("none")}
        self.assert_one_line(self.run_program(*SMALL, status=4, env=environment).err)

    def test_interrupted(self):
        words = ["bench", "--shape", "tiny-llama", "--rows", "400", "-o", self.path("bench.json")]
        with subprocess.Popen([cli.EVALMASK, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              start_new_session=True, env={**os.environ, "TMPDIR": self.scratch}) as program:
            time.sleep(3)
            os.killpg(program.pid, signal.SIGINT)
            out, err = program.communicate(timeout=cli.LIMIT)
            self.assertEqual(program.returncode, 130, err)
        self.assertEqual((out, os.listdir(self.scratch)), ("", []))
        self.assert_one_line(err)


if __name__ == "__main__":
    unittest.main()

"""The program on a CUDA device, with the kernels' emulator in the device's place (tests/kernels/emulator/)."""
import json
import os
import unittest

import cli

EMULATED = os.environ.get("EVALMASK_EMULATED")
SMALL = ("bench", "--shape", "tiny-llama", "--device", "cuda", "-T", 128, "--rows", 2, "--repeat", 1, "--lengths", 100)


@unittest.skipIf(cli.SANITIZED or not EMULATED, "the emulator is slow under sanitizers: test_cuda_emulated runs there")
class Device(cli.Case):
    def run_there(self, *arguments, **more):
        return self.run_program(*arguments, binary=os.path.abspath(EMULATED), **more)

    def bench(self, *arguments):
        out = self.path("bench.json")
        run = self.run_there(*arguments, "-o", out, env={**os.environ, "TMPDIR": self.scratch})
        with open(out, encoding="utf-8") as f:
            found = json.load(f)
        os.remove(out)
        self.assertEqual(os.listdir(self.scratch), [])      # the random models are gone
        return run.out, found

    def losses(self, run, *arguments):
        out = self.path("results.json")
        run("--model", cli.MODEL, "--data", cli.MIXED, "-T", 256, "--max-tokens", 400, *arguments, "-q", "-o", out)
        with open(out, encoding="utf-8") as f:
            return [r["loss"] for r in json.load(f)["results"]]

    def test_bench(self):
        text, found = self.bench(*SMALL)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertIn("--device cuda:0 --dtype bf16", text)
        self.assertEqual((found["dtype"], found["rows"]), ("bf16", 2))
        job, run = found["jobs"][0], found["jobs"][0]["runs"][0]
        self.assertEqual((run["isa"], run["tokens"]), ("emulated", 257))
        weights = 2 * (4096 * 192 + 6 * (192 * 192 * 3 + 3 * 192 * 512))
        self.assertTrue(weights < run["peak_device_bytes"] < 1 << 30, run["peak_device_bytes"])
        for key in ("ceiling_gflops", "share_of_ceiling_percent", "share_by_device_time_percent"):
            self.assertGreater(job[key]["least"], 0, key)
        for stage in ("pack", "embed", "qkv", "attention", "output", "ffn", "head"):
            self.assertGreater(run["stages"][stage], 0, stage)

    def test_bench_of_a_sweep(self):
        text, found = self.bench(*SMALL, "--alpha=-1,1", "--mask", "doc,regular")
        self.assertIn("By the device's clock: ", text)
        self.assertEqual(len(found["jobs"]), 5)
        self.assertGreater(found["together_over_apart_by_device_time"]["median"], 0)

    def test_bench_with_little_memory(self):
        resident, streamed = (self.bench(*SMALL, *more)[1]["jobs"][0]["runs"][0]["peak_device_bytes"]
                              for more in ((), ("--memory", "18M")))
        self.assertTrue(streamed < min(resident, 18 << 20), (resident, streamed))

    def test_agrees_with_the_cpu(self):
        cpu = self.losses(self.run_program, "--mask", "doc,regular", "--device", "cpu", "--dtype", "f32")
        for dtype, tolerance in (("f32", 1e-5), ("bf16", 3e-3)):
            there = self.losses(self.run_there, "--mask", "doc,regular", "--device", "cuda", "--dtype", dtype)
            for a, b in zip(cpu, there, strict=True):
                self.assertAlmostEqual(a, b, delta=tolerance, msg=dtype)

    def test_a_device_that_is_not_there(self):
        run = self.run_there(*SMALL, "--device", "cuda:1", status=4)
        self.assert_one_line(run.err)
        self.assertIn("there is no CUDA device 1", run.err)


class NoDevice(cli.Case):
    @unittest.skipIf(os.path.exists("/dev/nvidia0"), "there is one")
    def test_bench_says_why(self):
        environment = {**os.environ, "TMPDIR": self.scratch}
        self.assert_one_line(self.run_program(*SMALL, status=4, env=environment).err)


if __name__ == "__main__":
    unittest.main()

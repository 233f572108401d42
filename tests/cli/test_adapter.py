"""A model with a LoRA adapter, and alphas that combine weights."""
import json
import os
import shutil
import unittest

import cli
from test_setup import LLAMA

LORA = os.path.join(cli.ROOT, "data", "bard-lora")
FIGURES = "loss", "loss_batch_mean", "loss_doc_mean", "top1", "stderr", "bits_per_byte", "subsets", "by_position"
DATA = "--data", cli.MIXED, "-T", "128", "-B", "4", "-q"


class Adapter(cli.Case):
    def by_model(self, *arguments):
        """The results by model, mask and alpha, with everything else of results.json under None."""
        got = self.results(*arguments, *DATA)
        return {(r["model"], r["mask"], r["alpha"]): r for r in got["results"]} | {None: got}

    def changed(self, **config):
        """A copy of the adapter with keys of its config set."""
        folder = self.path("lora")
        shutil.copytree(LORA, folder)
        with open(folder + "/adapter_config.json", encoding="utf-8") as f:
            old = json.load(f)
        self.write("lora/adapter_config.json", json.dumps({**old, **config}))
        return folder

    def assert_same(self, x, y):
        for key in FIGURES:
            self.assertEqual(x[key], y[key], key)

    def test_before_and_after(self):
        got = self.by_model("--adapter", LORA)
        before, after = got["before", "doc", None], got["after", "doc", None]
        self.assertEqual(got[None]["comparisons"][0]["predictions"], before["predictions"])
        self.assertNotEqual(before["loss"], after["loss"])
        self.assertNotEqual(before["fingerprints"]["model"], after["fingerprints"]["model"])
        self.assertEqual(before["fingerprints"]["protocol"], after["fingerprints"]["protocol"])
        self.assert_same(before, self.results(*DATA)["results"][0])

    def test_an_adapter_with_a_name(self):
        got = self.by_model("--adapter", "bard=" + LORA)
        self.assertEqual([m["name"] for m in got[None]["models"]], ["before", "bard"])

    def test_beside_other_models(self):
        alone = self.by_model("--adapter", LORA)
        got = self.by_model("--compare", "same=" + cli.MODEL, "--adapter", LORA, "--adapter", "twice=" + self.changed(lora_alpha=8))
        self.assertEqual([r["model"] for r in got[None]["results"]], ["base", "same", "bard-lora", "twice"])
        self.assert_same(got["bard-lora", "doc", None], alone["after", "doc", None])
        self.assert_same(got["same", "doc", None], got["base", "doc", None])
        weights = self.by_model("--adapter", LORA, "--alpha-space", "weight", "--alpha", "1")
        self.assert_same(got["twice", "doc", None], weights["amplified", "doc", 1])

    def test_an_adapter_of_scale_zero_is_the_base(self):
        got = self.by_model("--adapter", self.changed(lora_alpha=0), "--mask", "doc,regular")
        for mask in "doc", "regular":
            self.assert_same(got["before", mask, None], got["after", mask, None])

    def test_alphas_of_weights(self):
        got = self.by_model("--adapter", LORA, "--alpha-space", "weight", "--alpha=-2:1:1,0.5", "--mask", "doc,regular")
        logits = self.by_model("--adapter", LORA, "--alpha=-2:1:1,0.5", "--mask", "doc,regular")
        self.assertEqual(got[None]["protocol"]["alpha_space"], "weight")
        self.assertNotIn("alpha_space", logits[None]["protocol"])
        self.assertEqual([m["name"] for m in got[None]["models"]], ["before", "after"])
        self.assertEqual(list(got), list(logits))
        for mask in "doc", "regular":
            for alpha, model in ((-1, "before"), (0, "after")):
                self.assert_same(got["amplified", mask, alpha], got[model, mask, None])
                self.assertEqual(got["amplified", mask, alpha]["fingerprints"]["model"], got[model, mask, None]["fingerprints"]["model"])
            for model in "before", "after":
                self.assertEqual(got[model, mask, None], logits[model, mask, None])
            for alpha in -2, 0.5, 1:
                x, y = got["amplified", mask, alpha], logits["amplified", mask, alpha]
                self.assertNotEqual(x["loss"], y["loss"])
                self.assertLess(abs(x["loss"] - y["loss"]), 0.2)
                self.assertNotEqual(x["fingerprints"]["protocol"], y["fingerprints"]["protocol"])
        models = {r["fingerprints"]["model"] for r in got[None]["results"]}
        self.assertEqual(len(models), 2 + 3)

    def test_an_alpha_of_weights_has_the_same_figures_alone(self):
        many = self.by_model("--adapter", LORA, "--alpha-space", "weight", "--alpha=-2,0.5,3")
        one = self.by_model("--adapter", LORA, "--alpha-space", "weight", "--alpha=0.5", "--threads", "1")
        self.assertEqual(many["amplified", "doc", 0.5], one["amplified", "doc", 0.5])

    def test_little_memory(self):
        arguments = "--adapter", LORA, "--alpha-space", "weight", "--alpha=0.5,3"
        run = self.run_program("--model", cli.MODEL, *arguments, *DATA, "--memory", "1M", status=4)
        self.assertIn("give --memory at least", run.err)
        if not cli.SANITIZED:
            self.assertEqual(self.evaluate(*arguments, *DATA, "--memory", "400M"), self.evaluate(*arguments, *DATA))

    def test_report(self):
        run = self.run_program("--model", cli.MODEL, "--adapter", LORA, "--alpha-space", "weight", "--alpha=0.5", *DATA)
        self.assertIn("## (1 + alpha) * after - alpha * before of the weights, doc", run.out)

    def test_merged_by_convert(self):
        merged = self.path("bard.bin")
        self.assertIn("with the adapter", self.run_program("convert", cli.MODEL, merged, "--adapter", LORA).out)
        beside = self.by_model("--adapter", LORA, "--mask", "doc,regular")
        alone = self.results("--model", "after=" + merged, *DATA, "--mask", "doc,regular")["results"]
        for r in alone:
            self.assert_same(r, beside["after", r["mask"], None])
        run = self.run_program("convert", cli.MODEL, merged, "--adapter", LORA, "--adapter", LORA, status=2)
        self.assertIn("convert --adapter wants one directory", run.err)
        self.run_program("convert", cli.MODEL, self.path("none.bin"), "--adapter", self.path("nowhere/x/y"), status=3)
        self.assertEqual(sorted(f for f in os.listdir(self.scratch) if "bin" in f), ["bard.bin"])

    def test_refusals(self):
        lists = ",".join(str(i) for i in range(1, 16))
        for arguments, status, says in (
                (("--alpha-space", "weight"), 2, "--alpha-space weight wants --alpha LIST"),
                (("--alpha-space", "middle", "--alpha", "1"), 2, "there are logit, weight"),
                (("--alpha", "1", "--adapter", LORA, "--adapter", "x=" + LORA), 2, "wants one --compare PATH or --adapter DIR"),
                (("--alpha-space", "weight", "--adapter", LORA, "--alpha", lists), 2, "at most 14 alphas beside -1 and 0"),
                (("--adapter", self.path("nowhere/x/y")), 3, "No such file"),
                (("--adapter", LLAMA), 3, "holds no adapter_config.json"),
                (("--adapter", self.changed(use_dora=True)), 3, "use_dora is set, which is not supported")):
            run = self.run_program("--model", cli.MODEL, *arguments, *DATA, status=status)
            self.assert_one_line(run.err)
            self.assertIn(says, run.err)
        run = self.run_program("--model", "g=" + cli.MODEL + "," + cli.MODEL, "--adapter", LORA, *DATA, status=2)
        self.assertIn("wants one --model, not a group", run.err)
        run = self.run_program("--model", LORA, *DATA, status=3)
        self.assertIn("is a PEFT adapter, not a whole model; give its base model as --model and this as --adapter", run.err)


if __name__ == "__main__":
    unittest.main()

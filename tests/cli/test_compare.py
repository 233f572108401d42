"""Several models over the same tokens: names, identities of the alpha sweep, comparisons, refusals."""
import json
import os
import shutil
import struct
import unittest

import cli
from test_setup import LLAMA, tokenizer

TEXTS = "".join(json.dumps({"text": t, "meta": {"pile_set_name": g}}) + "\n"
                for t, g in (("abcabcabd" * 3, "one"), ("zyxw" * 5, "two"), ("aab" * 9, "one"), ("qrst" * 4, "two")) for _ in range(5))


class Compare(cli.Case):
    def model(self, name, scale, vocabulary=("<end>",)):
        """The small checkpoint with its last matrix scaled."""
        folder = self.path(name)
        shutil.copytree(LLAMA, folder)
        with open(folder + "/config.json", encoding="utf-8") as f:
            config = json.load(f)
        self.write(name + "/config.json", json.dumps({**config, "eos_token_id": 26}))
        self.write(name + "/tokenizer.json", tokenizer(vocabulary))
        path = os.path.join(folder, "model.safetensors")
        with open(path, "rb") as f:
            data = bytearray(f.read())
        header = struct.unpack("<Q", data[:8])[0]
        tensor = next(t for n, t in json.loads(data[8:8 + header]).items() if n.endswith("layers.1.mlp.down_proj.weight"))
        begin, end = (8 + header + x for x in tensor["data_offsets"])
        values = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
        data[begin:end] = struct.pack(f"<{len(values)}f", *(scale * v for v in values))
        self.write(name + "/model.safetensors", bytes(data))
        return folder

    def compare(self, *arguments):
        out = self.path("r.json")
        run = self.run_program(*arguments, "--data", self.write("d.jsonl", 6 * TEXTS), "-T", "24", "-B", "2", "-q", "-o", out)
        with open(out, encoding="utf-8") as f:
            return json.load(f), run.out

    def test_alphas_end_at_the_models(self):
        a, b = self.model("a", 1), self.model("b", 3)
        got, report = self.compare("--model", a, "--compare", b, "--alpha=-1:1:0.5", "--mask", "doc,regular")
        rows = {(r["mask"], r["model"], r["alpha"]): r for r in got["results"]}
        self.assertEqual(len(rows), 2 * (2 + 5))
        for mask in "doc", "regular":
            for alpha, model in ((-1, "before"), (0, "after")):
                x, y = rows[mask, "amplified", alpha], rows[mask, model, None]
                for key in "loss", "loss_batch_mean", "loss_doc_mean", "top1", "stderr", "bits_per_byte", "subsets":
                    self.assertEqual(x[key], y[key], key)
            self.assertNotEqual(rows[mask, "before", None]["loss"], rows[mask, "after", None]["loss"])
        self.assertIn("## after minus before", report)
        self.assertIn("The loss is least at alpha", report)

    def test_a_model_alone_has_the_same_figures(self):
        a, b = self.model("a", 1), self.model("b", 3)
        pair, _ = self.compare("--model", a, "--compare", b)
        for folder, name in ((a, "before"), (b, "after")):
            alone = self.compare("--model", folder)[0]["results"][0]
            both = next(r for r in pair["results"] if r["model"] == name)
            self.assertEqual({**alone, "model": name}, both)

    def test_differences(self):
        a, b = self.model("a", 1), self.model("b", 3)
        got, _ = self.compare("--model", a, "--compare", b)
        before, after = got["results"]
        c = got["comparisons"][0]
        self.assertAlmostEqual(c["difference"], after["loss"] - before["loss"], 12)
        self.assertLess(c["low"], c["difference"])
        self.assertGreater(c["high"], c["difference"])
        self.assertEqual(c["predictions"], before["predictions"])
        self.assertGreater(c["kl"]["mean"], 0)
        self.assertAlmostEqual(sum(s["difference"] * s["predictions"] for s in c["subsets"]), c["difference"] * c["predictions"], 9)
        again, _ = self.compare("--model", a, "--compare", b)
        self.assertEqual(got, again)

    def test_an_interval_needs_a_hundred_groups(self):
        """Documents under doc, rows under regular; a difference of two files has the same interval."""
        a, b = self.model("a", 1), self.model("b", 3)
        got, text = self.compare("--model", a, "--compare", b, "--max-docs", "99")
        self.assertEqual((got["comparisons"][0]["groups"], got["comparisons"][0]["low"]), (99, None))
        self.assertGreater(got["comparisons"][0]["stderr"], 0)
        self.assertEqual([(x["low"], x["high"]) for x in got["results"]], 2 * [(None, None)])
        self.assertIn("it wants 100 groups (documents, rows or stretches of the stream) that say as much as 10 equal ones, "
                      "and there are 99. ", " ".join(text.split()))
        got, text = self.compare("--model", a, "--compare", b, "--max-docs", "100")
        self.assertNotIn("it wants 100 groups", " ".join(text.split()))
        for x in got["results"]:
            self.assertLess(x["low"], x["loss"])
            self.assertGreater(x["high"], x["loss"])
            self.assertAlmostEqual(x["high"] - x["low"], 2 * 1.98 * x["stderr"], delta=0.3 * x["stderr"])
        c = got["comparisons"][0]
        for name, model in (("one", a), ("two", b)):
            self.run_program("--model", model, "--data", self.path("d.jsonl"), "-T", "24", "-B", "2", "-q", "--max-docs", "100",
                             "-o", self.path(name + ".json"))
        self.run_program("diff", self.path("one.json"), self.path("two.json"), "-o", self.path("diff.json"))
        with open(self.path("diff.json"), encoding="utf-8") as f:
            d = json.load(f)["differences"][0]
        for key in "low", "high":
            self.assertAlmostEqual(c[key], d[key], delta=1e-12)
        rows, _ = self.compare("--model", a, "--compare", b, "--mask", "regular", "--max-docs", "100")
        c = rows["comparisons"][0]
        self.assertEqual(c["grouped_by"], "row")
        self.assertEqual(c["low"] is None, c["groups"] < 100)

    def test_a_model_against_itself(self):
        a = self.model("a", 1)
        got, _ = self.compare("--model", "x=" + a, "--compare", "y=" + a, "--compare", "z=" + a)
        self.assertEqual([r["model"] for r in got["results"]], ["x", "y", "z"])
        self.assertEqual([(c["before"], c["after"]) for c in got["comparisons"]], [("x", "y"), ("x", "z"), ("y", "z")])
        for c in got["comparisons"]:
            self.assertEqual((c["difference"], c["stderr"], c["better"], c["same_top1"]), (0, 0, 0, 1))
        self.assertEqual(got["comparisons"][0]["kl"]["max"], 0)

    def test_a_name_that_was_given_stays(self):
        a, b = self.model("a", 1), self.model("b", 3)
        plain, _ = self.compare("--model", a, "--compare", b)
        for first, second, names in (("pre=" + a, "sft=" + b, ["pre", "sft"]), ("pre=" + a, b, ["pre", "after"]),
                                     (a, "sft=" + b, ["before", "sft"]), (a, b, ["before", "after"])):
            got, report = self.compare("--model", first, "--compare", second, "--alpha", "0.5", "--tokens", self.path("t.jsonl"))
            self.assertEqual([m["name"] for m in got["models"]], names)
            self.assertEqual([r["model"] for r in got["results"]], names + ["amplified"])
            c, = (c for c in got["comparisons"] if c["alpha"] is None)
            self.assertEqual([c["before"], c["after"]], names)
            self.assertEqual(c["difference"], plain["comparisons"][0]["difference"])
            self.assertIn("## %s minus %s" % (names[1], names[0]), report)
            with open(self.path("t.jsonl"), encoding="utf-8") as f:
                self.assertEqual([k.split("|")[0] for k in json.loads(f.readline())["nll"]], names + ["amplified"])

    def test_tokens_of_every_side(self):
        a, b = self.model("a", 1), self.model("b", 3)
        self.compare("--model", a, "--compare", b, "--alpha", "0.5", "--tokens", self.path("t.jsonl"))
        with open(self.path("t.jsonl"), encoding="utf-8") as f:
            first = json.loads(f.readline())
        self.assertEqual(set(first["nll"]), {"before|doc|unshifted||", "after|doc|unshifted||", "amplified|doc|unshifted|0.5|"})

    def test_refusals(self):
        a, b, c = self.model("a", 1), self.model("b", 3), self.model("c", 1, ("<stop>",))
        data = ("--data", self.write("d.jsonl", 6 * TEXTS), "-q")
        for arguments, status, says in (
                (("--model", a, "--alpha", "1"), 2, "--alpha wants one --compare"),
                (("--model", a, "--compare", b, "--alpha", "x"), 2, "--alpha x: give numbers"),
                (("--model", a, "--compare", a, "--compare", a), 2, "say --compare NAME=PATH"),
                (("--model", "x=" + a, "--compare", "x=" + b), 2, "two models are named x; say --compare NAME=PATH with another name"),
                (("--model", "after=" + a, "--compare", b), 2, "two models are named after"),
                (("--model", a, "--compare", "amplified=" + b, "--alpha", "1"), 2, "a model is named amplified"),
                (("--model", "x=%s,%s," % (a, b)), 2, "one of the paths is empty"),
                (("--model", "x=%s,,%s" % (a, b)), 2, "one of the paths is empty"),
                (("--model", "n" * 62 + "=%s,%s" % (a, b)), 2, "too long for the name of a group"),
                (("--model", a, "--compare", c), 3, 'id 26 is "<end>" to the tokenizer of before and "<stop>" to that of after')):
            run = self.run_program(*arguments, *data, status=status)
            self.assert_one_line(run.err)
            self.assertIn(says, run.err)


if __name__ == "__main__":
    unittest.main()

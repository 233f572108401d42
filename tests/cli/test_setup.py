"""Models and tokenizers that do not fit each other or the rows, and where EOS and BOS come from."""
import json
import os
import shutil
import struct
import unittest

import cli

GPT2 = os.path.join(cli.ROOT, "tests", "model", "checkpoints", "gpt2")       # 64 tokens, 32 learned positions
LLAMA = os.path.join(cli.ROOT, "tests", "model", "checkpoints", "llama")     # 64 tokens


def tokenizer(names):
    """A tokenizer.json of single characters; the names are added tokens behind them."""
    letters = [chr(c) for c in range(97, 97 + 26)]
    return json.dumps({
        "model": {"type": "BPE", "vocab": {c: i for i, c in enumerate(letters)}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "added_tokens": [{"id": 26 + i, "content": n, "special": True, "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False} for i, n in enumerate(names)]})


class Setup(cli.Case):
    def model(self, source, names=("<end>", "<start>"), **config):
        folder = self.path("model")
        shutil.copytree(source, folder)
        with open(folder + "/config.json", encoding="utf-8") as f:
            old = json.load(f)
        self.write("model/config.json", json.dumps({**old, **config}))
        self.write("model/tokenizer.json", tokenizer(names))
        return folder

    def refusal(self, *arguments, status=3):
        run = self.run_program(*arguments, "--data", self.write("d.jsonl", '{"text": "abcabc"}\n' * 30), "-q", status=status)
        self.assertEqual(run.out, "")
        self.assert_one_line(run.err)
        return run.err

    def run_model(self, *arguments):
        out = self.path("r.json")
        self.run_program("--model", self.path("model"), "--data", self.write("d.jsonl", '{"text": "abcabc"}\n' * 30), "-T", "16",
                         "-q", "-o", out, *arguments)
        with open(out, encoding="utf-8") as f:
            return json.load(f)

    def test_rows_longer_than_learned_positions(self):
        model = self.model(GPT2, eos_token_id=26)
        self.assertIn("learned positions for 32 tokens only; say -T 32 or less", self.refusal("--model", model, "-T", "33"))
        run = self.run_program("--model", model, "--data", self.path("d.jsonl"))
        self.assertIn("T = 32, the model's limit, instead of 1024", run.out)

    def test_a_tokenizer_with_more_ids_than_the_embedding(self):
        model = self.model(LLAMA, names=[f"<{i}>" for i in range(40)], eos_token_id=26)
        self.assertIn("ids up to 65, the embedding of model only 64 rows", self.refusal("--model", model))

    def test_ids_outside_the_vocabulary(self):
        model = self.model(LLAMA, eos_token_id=63)
        self.assertIn("eos_token_id 63 is outside the tokenizer's 28 ids", self.refusal("--model", model))
        self.assertIn("--eos 28: the tokenizer's ids end at 27", self.refusal("--model", model, "--eos", "28", status=2))

    def test_a_weight_that_is_no_number_is_named(self):
        model = self.model(LLAMA, eos_token_id=26)
        path = os.path.join(model, "model.safetensors")
        with open(path, "rb") as f:
            data = bytearray(f.read())
        header = struct.unpack("<Q", data[:8])[0]
        name, tensor = next((n, t) for n, t in json.loads(data[8:8 + header]).items() if n.endswith("layers.1.mlp.up_proj.weight"))
        self.assertEqual(tensor["dtype"], "F32")
        at = 8 + header + tensor["data_offsets"][0] + 4 * 5
        data[at:at + 4] = struct.pack("<f", float("nan"))
        self.write("model/model.safetensors", bytes(data))
        err = self.refusal("--model", model, "-T", "16")
        self.assertIn(f"{model}: tensor {name}: output 0, input 5 is NaN", err)

    def test_where_eos_comes_from(self):
        self.model(LLAMA, eos_token_id=[26, 27])
        run = self.run_model()
        self.assertEqual(run["protocol"]["eos"], "26 <end>, by config.json")
        self.assertTrue(any("27" in note for note in run["notes"]), run["notes"])
        self.write("model/tokenizer_config.json", json.dumps({"eos_token": {"content": "<start>"}}))
        self.assertEqual(self.run_model()["protocol"]["eos"], "27 <start>, by tokenizer_config.json")
        self.assertEqual(self.run_model("--eos", "26")["protocol"]["eos"], "26 <end>, by --eos")
        self.assertEqual(self.run_model("--eos", "<end>")["protocol"]["eos"], "26 <end>, by --eos")
        none = self.run_model("--eos", "none")
        self.assertEqual(none["protocol"]["eos"], "none, by --eos")
        self.assertEqual(none["data"]["tokens"], 6 * 30)

    def test_the_config_beside_a_tokenizer_file_counts(self):
        self.model(LLAMA, eos_token_id=26)
        self.assertTrue(any("the id is the model's own" in note for note in
                            self.run_model("--tokenizer", self.path("model/tokenizer.json"))["notes"]))
        self.write("model/tokenizer_config.json", json.dumps({"eos_token": "<start>"}))
        for path in "model", "model/tokenizer.json":
            run = self.run_model("--tokenizer", self.path(path))
            self.assertEqual(run["protocol"]["eos"], "27 <start>, by tokenizer_config.json")

    def around(self, before, after):
        """The post_processor of tokenizer.json puts these names before and after a text."""
        with open(self.path("model/tokenizer.json"), encoding="utf-8") as f:
            tokenizer = json.load(f)
        ids = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
        tokenizer["post_processor"] = {
            "type": "TemplateProcessing", "pair": [], "special_tokens": {
                name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in before + after},
            "single": [*({"SpecialToken": {"id": n, "type_id": 0}} for n in before), {"Sequence": {"id": "A", "type_id": 0}},
                       *({"SpecialToken": {"id": n, "type_id": 0}} for n in after)]}
        self.write("model/tokenizer.json", json.dumps(tokenizer))

    def test_where_bos_and_an_eos_of_the_tokenizer_come_from(self):
        self.model(LLAMA, eos_token_id=26)
        self.around(["<start>"], ["<end>"])
        names = {"bos_token": "<start>", "eos_token": "<end>"}
        self.write("model/tokenizer_config.json", json.dumps(names))
        run = self.run_model()
        self.assertEqual(run["protocol"]["bos"], "27 <start>, by the tokenizer")
        self.assertEqual(run["data"]["tokens"], 8 * 30)         # an EOS so added is not added twice
        self.assertEqual(self.run_model("--bos", "none")["data"]["tokens"], 7 * 30)
        self.assertFalse([n for n in run["notes"] if "tokenizer.json" in n])

    def test_the_post_processor_counts(self):
        self.model(LLAMA, eos_token_id=26)
        self.write("model/tokenizer_config.json", json.dumps({"bos_token": "<start>", "eos_token": "<end>", "add_bos_token": True}))
        run = self.run_model()
        self.assertEqual(run["protocol"]["bos"], "none")
        note = [n for n in run["notes"] if "add_bos_token is true in tokenizer_config.json" in n]
        self.assertEqual(len(note), 1, run["notes"])
        self.assertIn("tokenizer.json counts, as in transformers 5", note[0])
        texts = self.write("t.jsonl", '{"text": "abc"}\n')
        self.assertIn("note: add_bos_token is true", self.run_program("tokenize", "--tokenizer", self.path("model"), texts).err)

    def test_added_tokens_of_other_files(self):
        self.model(LLAMA, eos_token_id=26)
        self.write("model/added_tokens.json", json.dumps({"<x>": 28}))
        texts = self.write("t.jsonl", '{"text": "ab<x>c"}\n')
        out = self.path("m.bin")
        self.run_program("convert", self.path("model"), out)    # keeps the files
        for path in self.path("model"), self.path("model/tokenizer.json"), out:
            run = self.run_program("tokenize", "--tokenizer", path, texts)
            self.assertEqual(json.loads(run.out)["ids"], [0, 1, 28, 2])
            self.assertIn("tokenizer.json lacks 1 token that added_tokens.json names", run.err)

    def test_texts_that_bring_bos_and_eos(self):
        self.model(LLAMA, eos_token_id=26)
        self.around(["<start>"], [])
        self.write("model/tokenizer_config.json", json.dumps({"bos_token": "<start>", "eos_token": "<end>"}))
        data = self.write("d.jsonl", '{"text": "<start>abcabc"}\n' + '{"text": "abcabc<end>"}\n' * 2 + '{"text": "abcabc"}\n' * 20)
        out = self.path("r.json")
        arguments = "--model", self.path("model"), "--data", data, "-T", "16"
        self.run_program(*arguments, "-q", "-o", out)
        with open(out, encoding="utf-8") as f:
            notes = json.load(f)["notes"]
        self.assertTrue(any("1 of 23 texts begin with <start> themselves" in n for n in notes), notes)
        self.assertTrue(any("2 of 23 texts end with <end> themselves" in n for n in notes), notes)
        report = self.run_program("inspect", *arguments, status=1).out
        self.assertIn("**FAIL** one BOS before a text: 1 of 23", report)
        self.assertIn("**FAIL** one EOS after a text: 2 of 23", report)
        self.assertNotIn("one BOS", self.run_program("inspect", *arguments, "--bos", "none", status=1).out)
        self.write("d.jsonl", '{"text": "abcabc"}\n' * 20)
        self.assertNotIn("one BOS", self.run_program("inspect", *arguments).out)
        self.write("model/chat_template.jinja", "{{ bos_token }}{{ messages }}")
        report = " ".join(self.run_program("inspect", *arguments).out.split())
        self.assertIn("**pass** one BOS before a text: 0 of 20", report)
        self.assertIn("chat_template of chat_template.jinja writes it too", report)


if __name__ == "__main__":
    unittest.main()

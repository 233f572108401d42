"""convert, tokenize, inspect and audit from the outside."""
import json
import os
import re
import unittest

import cli


class Commands(cli.Case):
    def test_convert_again_is_the_same_file_and_model(self):
        self.run_program("convert", cli.MODEL, self.path("again.bin"))
        with open(cli.MODEL, "rb") as a, open(self.path("again.bin"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_convert_of_a_directory(self):
        """The .bin's own files as a directory: weights under another name for the file, the rest as they were."""
        with open(cli.MODEL, "rb") as f:
            length = int.from_bytes(f.read(8), "little")
            header, body = json.loads(f.read(length)), f.read()
        os.mkdir(self.path("model"))
        tensors, weights = {}, b""
        for name, t in header.items():
            if name == "__metadata__":
                continue
            part = body[slice(*t["data_offsets"])]
            if t["dtype"] == "U8":
                self.write("model/" + name.partition(":")[2], part)
            else:
                tensors[name] = {**t, "data_offsets": [len(weights), len(weights) + len(part)]}
                weights += part
        head = json.dumps(tensors).encode()
        head += b" " * (-len(head) % 8)
        self.write("model/model.safetensors", len(head).to_bytes(8, "little") + head + weights)
        self.run_program("convert", self.path("model"), self.path("base.bin"))
        with open(cli.MODEL, "rb") as a, open(self.path("base.bin"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.run_program("--model", "base=" + self.path("model"), "--data", cli.MIXED, "-T", "128",
                         "-o", self.path("r.json"))
        with open(self.path("r.json"), "rb") as f:
            self.assertEqual(f.read(), self.evaluate("--data", cli.MIXED, "-T", "128"))

    def test_tokenize_gives_the_ids_that_a_run_scores(self):
        ids = [json.loads(line)["ids"] for line in
               self.run_program("tokenize", "--tokenizer", cli.MODEL, cli.MIXED).out.splitlines()]
        bare = [json.loads(line)["ids"] for line in
                self.run_program("tokenize", "--tokenizer", cli.MODEL, "--no-special", cli.MIXED).out.splitlines()]
        self.assertEqual(ids, [[1, *x] for x in bare])
        self.evaluate("--data", cli.MIXED, "-T", "8192", "--tokens", self.path("t.jsonl"))
        stream = [i for x in ids for i in [*x, 2]]
        with open(self.path("t.jsonl"), encoding="utf-8") as f:
            self.assertEqual([json.loads(line)["label"] for line in f], stream[1:])

    def test_tokenize_reads_stdin(self):
        with open(cli.MIXED, "rb") as f:
            data = f.read()
        self.assertEqual(self.run_program("tokenize", "--tokenizer", cli.MODEL, "-", input=data).out,
                         self.run_program("tokenize", "--tokenizer", cli.MODEL, cli.MIXED).out)

    def test_inspect_agrees_with_a_run(self):
        out = self.run_program("inspect", "--model", cli.MODEL, "--data", cli.MIXED, "-T", "128", "-B", "3",
                               "--mask", "doc,regular").out
        for words in ("documents: 23, 1 of them without text", "tokens: 4692", "23 for 23 documents", "rows: 37 of T = 128",
                      "| unshifted     |     37 |      13 |     4655 |       22 |", "█", "░"):
            self.assertIn(words, out)

    def test_audit_says_who_sees_its_label(self):
        out = self.run_program("audit", "--mask", "flip0", "--labels", "unshifted", "-T", "1024").out
        self.assertRegex(out, r"flip0 +\| unshifted +\| +1 \| +1023 \| +512 \| +0 \| +511 \|")
        self.assertRegex(out, r"flip0 +\| unshifted +\| +2 \| +1023 \| +512 \| +511 \| +0 \|")

    def test_audit_proves_it_on_the_model(self):
        out = self.run_program("audit", "--mask", "doc,flip0,backward", "--labels", "unshifted,backward", "-T", "64",
                               "--model", cli.MODEL, "--data", cli.MIXED).out
        parts = {m[1]: m[2] for m in re.finditer(r"- \*\*(.*?)\*\*: (.*?)(?=\n- \*\*|\Z)", out, re.S)}
        self.assertEqual(len(parts), 6)
        for name in ("doc, unshifted labels, reset positions", "backward, backward labels, continuous positions"):
            self.assertRegex(parts[name], r"clean: 0 of [1-9]\d* moved")
            self.assertRegex(parts[name], r"cannot see the changed token: 0 of [1-9]\d* moved")
            self.assertIn("**PROVED**", parts[name])
        seen = re.findall(r"sees it (directly|indirectly): (\d+) of (\d+) moved",
                          parts["flip0, unshifted labels, continuous positions"])
        self.assertEqual([way for way, _, _ in seen], ["directly", "indirectly"])
        for _, moved, scored in seen:
            self.assertEqual(moved, scored)


if __name__ == "__main__":
    unittest.main()

"""inspect --packed: verdicts on rows that other packers made, and what it says of broken ones."""
import gzip
import json
import os
import re
import resource
import shutil
import subprocess
import unittest

import cli

ROWS = os.path.join(cli.ROOT, "tests", "eval", "packed")
WHAT = ("EOS between all documents", "labels follow the tokens", "labels contain EOS", "no labelled padding",
        "positions restart", "mask", "packing efficiency")
# p pass, F fail, - not told; in WHAT's order, and words that the report must hold
VERDICTS = {
    "stream": ("ppppppp", "39 for 54 documents", "told by cu_seqlens", "mask: doc:", "at all 37 boundaries, where it ends its document"),
    "bare": ("---p--p", "told by EOS itself", "drawn is `doc`"),
    "run-on": ("-pppFpp", "run on over EOS in 17 of 17 rows; first: row 0, index 9 is at 9, where 0 is due", "mask: regular:"),
    "shifted": ("ppppp-p", "each is the token after its own"),
    "matrix": ("ppppppp", "mask: doc:", "attention_mask of T x T"),
    "matrix-regular": ("p--pppp", "mask: regular:"),
    "matrix-window": ("---p-pp", "mask: doc-window:4:"),
    "matrix-holes": ("---p-Fp", "in row 0 the keys that query 2 sees are no interval", "Not drawn"),
    "flattening": ("ppppppp", "20 for 20 documents", "mask: doc:", "7.94 % of them ignored"),
    "best-fit": ("ppppppp", "23 tokens are padding, none with a label that counts", "padding is masked", "96.01 %"),
    "numbers": ("p----pp", "told by the numbers in attention_mask", "mask: doc:", "padding is masked"),
    "pad-is-eos": ("-ppF--F", "91 for 5 documents, 86 of them padding", "86 labels that count are padding: 67.19 % of all that count",
                   "first: row 0, index 42", "32.81 %"),
    "eos-ignored": ("-pFp-pF", "0 of 37 labels that count are a document's EOS"),
    "own-eos": ("p--pppp", "is a segment of its own, apart from its document"),
    "no-eos": ("F--pp-p", "there is no EOS in 57 tokens"),
}
WORDS = {"pass": "p", "FAIL": "F", "not told": "-"}


def verdicts(out):
    text = re.sub(r"\n  ", " ", out)
    found = re.findall(r"^- \*\*(pass|FAIL|not told)\*\* ([^:]*): ", text, re.M)
    return {what: WORDS[word] for word, what in found}


class Packed(cli.Case):
    def packed(self, path, *arguments, status=0, **more):
        return self.run_program("inspect", "--eos", "2", "--packed", path, *arguments, status=status, **more)

    def test_every_file(self):
        self.assertEqual({f"{name}.jsonl" for name in VERDICTS}, {f for f in os.listdir(ROWS) if f.endswith(".jsonl")})
        for name, (want, *words) in VERDICTS.items():
            with self.subTest(name):
                out = self.packed(os.path.join(ROWS, name + ".jsonl"), status=int("F" in want)).out
                self.assertEqual("".join(verdicts(out)[w] for w in WHAT), want)
                self.assertEqual(set(verdicts(out)), set(WHAT))
                for w in words:
                    self.assertIn(w, re.sub(r"\n  ", " ", out))
                self.assertLessEqual(max(map(len, out.splitlines())), 80)
                self.assertIn(f"{want.count('F')} of 7 failed.", out)

    def test_pad_is_known_or_not(self):
        rows = os.path.join(ROWS, "best-fit.jsonl")
        with open(rows, encoding="utf-8") as f:
            bare = "".join(json.dumps({k: r[k] for k in ("input_ids", "labels")}) + "\n" for r in map(json.loads, f))
        path = self.write("bare.jsonl", bare)
        self.assertIn("0 of them padding", self.packed(path).out)
        self.assertIn("23 of them padding", self.packed(path, "--pad", "0").out)
        labelled = self.write("labelled.jsonl", bare.replace("-100", "0"))
        self.assertEqual(verdicts(self.packed(labelled, "--pad", "0", status=1).out)["no labelled padding"], "F")

    def test_nothing_but_padding(self):
        row = {"input_ids": [0] * 8, "attention_mask": [0] * 8, "labels": [-100] * 8, "position_ids": [0] * 8}
        out = self.packed(self.write("empty.jsonl", (json.dumps(row) + "\n") * 3), "--pad", "0", status=1).out
        self.assertEqual("".join(verdicts(out)[w] for w in WHAT), "---p--F")
        self.assertIn("mask: every token is padding: there is nothing to judge", re.sub(r"\n  ", " ", re.sub(r"\*\*", "", out)))

    def test_documents_without_eos_between_them(self):
        path = self.write("x.jsonl", '{"input_ids":[5,2,6,7,2],"cu_seqlens":[0,2,3,5]}\n')
        out = self.packed(path, status=1).out
        self.assertIn("missing at 1 of 2 boundaries; first: row 0, index 3", out.replace("\n  ", " "))

    def test_files_are_the_same_however_they_come(self):
        path = os.path.join(ROWS, "stream.jsonl")
        with open(path, "rb") as f:
            data = f.read()
        want = self.packed(path).out.partition("\n")[2]
        self.assertEqual(self.packed("-", input=data).out.partition("\n")[2], want)
        self.assertEqual(self.packed(self.write("s.gz", gzip.compress(data))).out.partition("\n")[2], want)
        if shutil.which("zstd"):
            packed = subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout
            self.assertEqual(self.packed(self.write("s.zst", packed)).out.partition("\n")[2], want)

    def test_several_files_and_a_row(self):
        out = self.packed(os.path.join(ROWS, "stream.jsonl"), "--packed", os.path.join(ROWS, "no-eos.jsonl"), "--row", "1", status=1).out
        self.assertEqual(out.count("# Packed rows of "), 2)
        self.assertEqual(out.count("## Row 1: "), 2)
        self.assertIn("--row 17: the file has 17 rows, from 0 to 16",
                      self.packed(os.path.join(ROWS, "stream.jsonl"), "--row", "17", status=2).err)

    def test_a_tokenizer_names_the_tokens(self):
        out = self.run_program("inspect", "--tokenizer", cli.MODEL, "--packed", os.path.join(ROWS, "stream.jsonl")).out
        self.assertIn("EOS: id 2 `</s>`, from", out)
        self.assertIn('2 EOS   "</s>"', out)

    def test_broken_rows(self):
        good = '{"input_ids":[5,2],"labels":[5,2]}\n'
        for line, words in (('{"input_ids":[5,2', "expected ',' or ']', but the record ends"),
                            ("nothing", "expected '{', since a row is a JSON object"),
                            ('{"input_ids":[1.5]}', "input_ids: a number that is not written as a whole one"),
                            ('{"input_ids":[-3]}', "input_ids[0] is -3: it cannot be negative"),
                            ('{"input_ids":[4294967296]}', "input_ids[0] is 4294967296, beyond 2^31 - 1"),
                            ('{"text":"a"}', 'no "input_ids"'),
                            ('{"input_ids":[1,2],"labels":[1]}', "labels has 1 entries, input_ids has 2"),
                            ('{"input_ids":[1,2],"attention_mask":[[1,0]]}', "attention_mask is 1 x 2"),
                            ('{"input_ids":[1,2],"cu_seqlens":[0,2,1]}', "it must not descend")):
            with self.subTest(line):
                path = self.write("bad.jsonl", good + "\n" + line + "\n" + good)
                run = self.packed(path, status=3)
                self.assert_one_line(run.err)
                self.assertIn(f"{path}, record 2, byte ", run.err)
                self.assertIn(words, run.err)
                self.assertEqual(run.out, "")
        self.assertIn("no rows", self.packed(self.write("empty.jsonl", ""), status=3).err)
        self.assertIn("No such file", self.packed(self.path("none.jsonl"), status=3).err)

    def test_more_entries_than_a_row_may_have(self):
        path = self.write("long.jsonl", '{"input_ids":[' + "1," * (1 << 24) + "1]}\n")
        self.assertIn("input_ids has more than 16777216 entries", self.packed(path, status=3).err)

    @unittest.skipIf(cli.SANITIZED, "the sanitizers' own memory")
    def test_memory_does_not_grow_with_the_rows(self):
        """30 MB of rows within an address space that a fraction of them would fill."""
        with open(os.path.join(ROWS, "matrix.jsonl"), "rb") as f:
            data = f.read() * 10000
        limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (24 << 20, 24 << 20))
        out = self.packed("-", input=data, preexec_fn=limit).out
        self.assertIn("rows: 40000 of 16 tokens", out)


if __name__ == "__main__":
    unittest.main()

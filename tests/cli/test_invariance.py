"""The same bits whatever the threads, the batch size, the memory, and what else the run measures."""
import gzip
import json
import os
import re
import unittest

import cli

SMALL = ("--data", cli.MIXED, "-T", "128", "--max-tokens", "2100")
WIDE = ("--mask", "doc,regular,flip0,doc-full", "--labels", "unshifted,shifted,raw-unshifted,backward",
        "--positions", "reset,continuous")


class Invariance(cli.Case):
    def test_threads(self):
        first = self.evaluate(*SMALL, *WIDE, "-B", "3", "--threads", "1")
        for threads in (2, 3, 5, 7):
            with self.subTest(threads=threads):
                self.assertEqual(first, self.evaluate(*SMALL, *WIDE, "-B", "3", "--threads", threads))

    def least_memory(self, *arguments):
        """MiB, as the refusal of too little names it."""
        run = self.run_program("--model", cli.MODEL, *arguments, "--memory", "1M", status=4)
        return int(re.search(r"give --memory at least (\d+) MiB", run.err)[1])

    def test_memory(self):
        run = (*SMALL, *WIDE, "-B", "3", "--threads", "2")
        first, least = self.evaluate(*run, "--memory", "4G"), self.least_memory(*run)
        for mebibytes in (least + 2, least + 10, least + 60):
            with self.subTest(mebibytes=mebibytes):
                self.assertEqual(first, self.evaluate(*run, "--memory", f"{mebibytes}M", "--profile", self.path("p.json")))
                with open(self.path("p.json"), encoding="utf-8") as f:
                    peak = json.load(f)["peak_memory_bytes"] >> 20
                if not cli.SANITIZED:   # whose shadow memory counts too
                    self.assertLessEqual(peak, mebibytes)

    def test_batch_size(self):
        """All but the figures that are about batches."""
        def without_batches(batch):
            got = self.results(*SMALL, *WIDE, "-B", batch, "--tokens", self.path("t.jsonl"))
            del got["protocol"]["batch"], got["data"]["batches"]
            for r in got["results"]:
                del r["batch"], r["batches"], r["loss_batch_mean"]
            with open(self.path("t.jsonl"), encoding="utf-8") as f:
                return got, f.read()
        first = without_batches(1)
        for batch in (2, 5, 64):
            with self.subTest(batch=batch):
                self.assertEqual(first, without_batches(batch))

    def test_alone_or_in_a_list(self):
        together = {(r["mask"], r["labels"], r["positions"]): r
                    for r in self.results(*SMALL, *WIDE, "-B", "3")["results"]}
        self.assertEqual(len(together), 4 * 4 * 2)
        for (mask, labels, positions), want in together.items():
            if positions == "continuous" and labels in ("shifted", "backward"):
                continue
            with self.subTest(mask=mask, labels=labels, positions=positions):
                alone = self.results(*SMALL, "-B", "3", "--mask", mask, "--labels", labels, "--positions", positions)
                self.assertEqual(alone["results"], [want])

    def test_rows_do_not_know_their_neighbours(self):
        """The first rows' NLLs are the same bits however much comes after them."""
        def rows(*arguments):
            self.evaluate(*SMALL, *arguments, "--tokens", self.path("t.jsonl"))
            with open(self.path("t.jsonl"), encoding="utf-8") as f:
                return [line for line in f if json.loads(line)["row"] < 5]
        first = rows("--max-tokens", 5 * 128)
        self.assertEqual(len(first), 5 * 127)
        self.assertEqual(first, rows())

    def test_where_the_data_comes_from(self):
        """A file, stdin, two files, a directory, compressed or not: the same stream, the same bytes."""
        first = self.evaluate(*SMALL)
        with open(cli.MIXED, "rb") as f:
            lines = f.read().splitlines(True)
        half, rest = self.write("1.jsonl", b"".join(lines[:9])), self.write("2.jsonl", b"".join(lines[9:]))
        self.assertEqual(first, self.evaluate("--data", "-", *SMALL[2:], input=b"".join(lines)))
        self.assertEqual(first, self.evaluate("--data", half, "--data", rest, *SMALL[2:]))
        os.mkdir(self.path("directory"))
        for name in ("1.jsonl", "2.jsonl"):
            os.rename(self.path(name), self.path("directory/" + name))
        self.assertEqual(first, self.evaluate("--data", self.path("directory"), *SMALL[2:]))
        packed = self.write("mixed.of-any-name", gzip.compress(b"".join(lines)))
        self.assertEqual(first, self.evaluate("--data", packed, *SMALL[2:]))


if __name__ == "__main__":
    unittest.main()

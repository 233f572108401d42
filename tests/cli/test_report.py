"""evalmask report: the faces of a results file are those of the run that wrote it."""
import json
import os
import unittest

import cli

SMALL = ("--model", cli.MODEL, "--data", "mixed=" + cli.MIXED, "-q", "--max-docs", "8")


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Report(cli.Case):
    def test_a_results_file_has_the_faces_of_its_run(self):
        for name, options in {"masks": ("-T", "64", "--mask", "doc,flip0"), "depths": ("-T", "64", "--depth", "2,4"),
                              "pair": ("-T", "64", "--compare", "again=" + cli.MODEL, "--alpha", "-1,0.5"),
                              "lengths": ("-T", "32,64", "--mask", "doc,regular"),
                              "sets": ("-T", "64", "--data", "more=" + cli.MIXED)}.items():
            with self.subTest(name):
                run = self.run_program(*SMALL, *options, "-o", self.path("r.json"))
                again = self.run_program("report", self.path("r.json"), "-o", self.path("again.json"), "-o", self.path("r.md"))
                self.assertEqual(again.out, run.out)
                self.assertEqual(read(self.path("r.md")).decode(), run.out)
                self.assertEqual(read(self.path("again.json")), read(self.path("r.json")))

    def test_refusals(self):
        for arguments, status, word in ((("report",), 2, "one results file"), (("report", "/no/such.json"), 3, "cannot be read"),
                                        (("report", cli.MIXED), 3, "byte"), (("report", "r.json", "-o", "r.pdf"), 2, "must end in"),
                                        (("report", "r.json", "--mask", "doc"), 2, "does not belong")):
            with self.subTest(arguments):
                run = self.run_program(*arguments, status=status)
                self.assert_one_line(run.err)
                self.assertIn(word, run.err)
                self.assertEqual(run.out, "")


if __name__ == "__main__":
    unittest.main()

"""The command line itself: help, the man page, and what a wrong one says."""
import os
import re
import shlex
import subprocess
import unittest

import cli

COMMANDS = ("inspect", "audit", "convert", "tokenize", "bench", "report", "explore", "diff", "help", "version")


class Usage(cli.Case):
    def test_every_line_of_usage_txt(self):
        names = {"MODEL": cli.MODEL, "DATA": cli.MIXED, "SCRATCH": self.scratch}
        spell = lambda text: re.sub("MODEL|DATA|SCRATCH", lambda m: names[m[0]], text)
        with open(os.path.join(os.path.dirname(__file__), "usage.txt"), encoding="utf-8") as f:
            lines = [line.rstrip("\n") for line in f if not line.startswith("#")]
        self.assertGreater(len(lines), 40)
        for line in lines:
            arguments, status, message = (part.strip() for part in line.rsplit("|", 2))
            with self.subTest(arguments):
                run = subprocess.run([cli.EVALMASK, *shlex.split(spell(arguments))], capture_output=True, text=True,
                                     timeout=cli.LIMIT)
                self.assertEqual(run.returncode, int(status), run.stderr)
                self.assert_one_line(run.stderr)
                self.assertIn(spell(message), run.stderr)
                self.assertEqual(os.listdir(self.scratch), [], "something was left behind")

    def test_help_fits_80_columns(self):
        for arguments in ([], ["--help"], ["-h"], ["help"], *(["help", c] for c in COMMANDS),
                          *([c, "--help"] for c in ("inspect", "audit", "convert", "tokenize"))):
            with self.subTest(arguments):
                run = self.run_program(*arguments)
                self.assertTrue(run.out.startswith("evalmask"))
                self.assertLessEqual(max(map(len, run.out.splitlines())), 80)
                self.assertEqual(run.err, "")

    def test_man_page_has_every_option(self):
        man = self.run_program("help", "--man").out.replace("\\-", "-")
        self.assertTrue(man.startswith(".TH EVALMASK 1"))
        options = set()
        for arguments in (["--help"], *(["help", c] for c in COMMANDS)):
            options |= set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", self.run_program(*arguments).out, re.M))
        self.assertGreater(len(options), 25)
        for option in options:
            self.assertIn("--" + option, man)

    def test_lists_longer_than_memory_holds(self):
        windows = ",".join(f"window:{w}" for w in range(1, 65))
        for arguments, words in ((("--mask", windows, "--labels", "unshifted,shifted", "--compare", cli.MODEL, "--alpha=-3:3:0.05",
                                   "--data", cli.MIXED),
                                  "comparisons for each of 1 data sets"),
                                 (("--mask", windows, "--labels", "unshifted,raw-shifted", "-T", ",".join(map(str, range(2, 66))),
                                   *(f"--data=d{i}={cli.MIXED}" for i in range(13))),
                                  "128 results for each of 832 data sets, packings and row lengths: at most 100000 for one")):
            with self.subTest(words):
                run = self.run_program("--model", cli.MODEL, *arguments, status=2)
                self.assert_one_line(run.err)
                self.assertIn(words, run.err)

    def test_options_that_move_nothing_are_said(self):
        for command, arguments, words in (("", ("--window", "inside"), "--window inside moves nothing here"),
                                          ("", ("--seed", "3"), "--seed moves nothing here"),
                                          ("inspect", ("--window", "inside"), "--window inside moves nothing here"),
                                          ("audit", ("--window", "inside", "--mask", "doc", "-T", "32"), "--window inside moves nothing here")):
            given = [command] * bool(command) + ["--model", cli.MODEL, "--data", cli.MIXED, "--max-docs", "3", *arguments]
            with self.subTest(given):
                self.assertIn(words, self.run_program(*given).err)
                self.assertNotIn("moves nothing", self.run_program(*given, "-q").err)
        given = ["--model", cli.MODEL, "--data", cli.MIXED, "--max-docs", "3", "--window", "inside", "--seed", "3", "-T", "32,64"]
        for more in (("--labels", "shifted", "--mask", "doc,regular"), ("--labels", "unshifted,raw-shifted", "--compare", cli.MODEL)):
            self.assertNotIn("moves nothing", self.run_program(*given, *more).err)

    def test_version(self):
        with open(os.path.join(cli.ROOT, "CMakeLists.txt"), encoding="utf-8") as f:
            version = re.search(r"project\(evalmask VERSION ([\d.]+)", f.read())[1]
        for arguments in ("version", "--version"):
            self.assertEqual(self.run_program(arguments).out, f"evalmask {version}\n")


if __name__ == "__main__":
    unittest.main()

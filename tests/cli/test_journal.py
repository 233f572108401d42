"""--journal: what ended a run is forgotten by its results. tests/kill_and_resume.py does the same hundreds of times."""
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

import cli

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kill_and_resume  # noqa: E402

SMALL = ("--data", cli.MIXED, "-T", "64", "-q")


def unzst(path):
    return subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout


class Journal(cli.Case):
    def journaled(self, *arguments, status=0, **more):
        """A run of the bundled model with the journal j, in the scratch folder."""
        return self.run_program("--model", cli.MODEL, "--journal", "j", *arguments, status=status, cwd=self.scratch, **more)

    def stopped_by_a_full_disk(self, *arguments, size):
        """Writes beyond `size` bytes of a file fail, as on a full disk; the run is over then, and its journal stays."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        run = self.journaled(*arguments, status=4, preexec_fn=limit, restore_signals=False)
        self.assert_one_line(run.err)
        self.assertIn("cannot be written", run.err)
        self.assertTrue(os.path.exists(self.path("j")))
        return run

    def half_a_run(self):
        self.stopped_by_a_full_disk(*SMALL, "--tokens", "t.jsonl", "-o", "r.json", "--journal-every", "5", size=200_000)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def test_killed_and_resumed(self):
        dice = random.Random(17)
        references = [kill_and_resume.Reference(c) for c in kill_and_resume.COMMANDS[:1 if cli.SANITIZED else 4]]
        kills = 0
        while kills < (4 if cli.SANITIZED else 12):
            reference = dice.choice(references)
            error, more = kill_and_resume.one_round(reference, dice)
            self.assertIsNone(error, reference.arguments)
            kills += more

    def test_after_a_full_disk(self):
        want = self.evaluate(*SMALL, "--tokens", self.path("want.jsonl"))
        sums = unzst(self.path("evaluate.documents.jsonl.zst"))
        self.half_a_run()
        self.assertFalse(os.path.exists(self.path("r.json")))
        self.journaled(*SMALL, "--tokens", "t.jsonl", "-o", "r.json", "--threads", "1")
        self.assertEqual(self.read("r.json"), want)
        self.assertEqual(self.read("t.jsonl"), self.read("want.jsonl"))
        self.assertEqual(unzst(self.path("r.documents.jsonl.zst")), sums)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["evaluate.documents.jsonl.zst", "evaluate.json", "r.documents.jsonl.zst",
                                                            "r.json", "t.jsonl", "want.jsonl"])

    def test_the_journal_itself_is_full(self):
        want = self.evaluate(*SMALL)
        run = self.stopped_by_a_full_disk(*SMALL, "-o", "r.json", "--journal-every", "3", size=50_000)
        self.assertIn("j: cannot be written", run.err)
        self.assertIn("the same command goes on", run.err)
        self.journaled(*SMALL, "-o", "r.json")
        self.assertEqual(self.read("r.json"), want)

    def test_a_limit_of_file_sizes_is_a_full_disk(self):
        """With SIGXFSZ as a shell leaves it: the default is to end the process."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        run = self.journaled(*SMALL, "--tokens", "t.jsonl", status=4, preexec_fn=limit)
        self.assertIn("cannot be written: File too large", run.err)
        run = self.run_program("--model", cli.MODEL, *SMALL, "--tokens", self.path("u.jsonl"), status=4, preexec_fn=limit)
        self.assertIn("cannot be written: File too large", run.err)

    def test_a_changed_partial_file_is_refused(self):
        for name in ("t.jsonl", "t.jsonl.zst"):
            given = (*SMALL, "--tokens", name, "--journal-every", "5")
            self.stopped_by_a_full_disk(*given, size=200_000 if name == "t.jsonl" else 40_000)
            partial = next(x for x in os.listdir(self.scratch) if x.endswith(".partial"))
            for at in (0, 2091, 9_000):
                with self.subTest(name=name, at=at):
                    content = bytearray(self.read(partial))
                    content[at] ^= 1
                    with open(self.path(partial), "wb") as f:
                        f.write(content)
                    run = self.journaled(*given, status=3)
                    self.assert_one_line(run.err)
                    self.assertIn("are not those that the journal's run wrote; delete the journal", run.err)
                    content[at] ^= 1
                    with open(self.path(partial), "wb") as f:
                        f.write(content)
            self.journaled(*given)

    def test_files_of_others_beside_it(self):
        self.write("j.new", "precious")
        self.write("victim", "precious")
        self.journaled(*SMALL, "--max-docs", "3", "--journal-every", "1", "-o", "r.json")
        self.assertEqual(self.read("j.new"), b"precious")
        os.symlink("victim", self.path("j"))
        run = self.journaled(*SMALL, "--max-docs", "3", status=2)
        self.assertIn("is a link", run.err)
        self.assertEqual(self.read("victim"), b"precious")
        os.unlink(self.path("j"))
        os.unlink(self.path("j.new"))
        os.symlink("victim", self.path("j.new"))
        self.journaled(*SMALL, "--max-docs", "3")
        self.assertEqual(self.read("victim"), b"precious")

    def test_another_run_is_refused_with_the_field(self):
        data = shutil.copy(cli.MIXED, self.path("d.jsonl"))
        given = ("--data", "d.jsonl", "-T", "64", "-q", "--tokens", "t.jsonl", "--journal-every", "5")
        self.stopped_by_a_full_disk(*given, size=200_000)
        before = self.read("j")
        for change, field in ((("--mask", "regular"), "--mask"), (("-B", "3"), "--batch"), (("--seed", "1"), "--seed"),
                              (("-o", "x.md"), "--output"), (("--max-docs", "5"), "--max-docs")):
            with self.subTest(field):
                err = self.journaled(*given, *change, status=2).err
                self.assert_one_line(err)
                self.assertIn(field, err)
                self.assertIn("delete the journal", err)
        without = [x for x in given if x not in ("-T", "64")]
        self.assertIn("--seq-len", self.journaled(*without, status=2).err)
        times = os.stat(data)
        os.utime(data)
        self.assertIn("d.jsonl", self.journaled(*given, status=2).err)
        os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertEqual(self.read("j"), before)
        self.journaled(*given, "--threads", "3", "--memory", "1G")
        self.assertEqual(sorted(os.listdir(self.scratch)), ["d.jsonl", "t.jsonl"])

    def test_another_model_is_refused(self):
        shutil.copy(cli.MODEL, self.path("m.bin"))
        given = ("--model", "m.bin", *SMALL, "--tokens", "t.jsonl", "--journal", "j", "--journal-every", "5")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        self.run_program(*given, status=4, cwd=self.scratch, preexec_fn=limit, restore_signals=False)
        with open(self.path("m.bin"), "r+b") as f:      # one weight, with the file's time as it was
            times = os.fstat(f.fileno())
            f.seek(900_000)
            byte = f.read(1)[0]
            f.seek(900_000)
            f.write(bytes([byte ^ 1]))
        os.utime(self.path("m.bin"), ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertIn("m.bin", self.run_program(*given, status=2, cwd=self.scratch).err)

    def test_what_cannot_be_gone_on_with_is_refused(self):
        os.mkfifo(self.path("pipe.jsonl"))
        self.write("notes.txt", "my notes")
        with open(cli.MIXED, "rb") as f:
            run = self.journaled("--data", "-", status=2, stdin=f)
        self.assertIn("stdin", run.err)
        for arguments in (("--data", "pipe.jsonl"), (*SMALL, "--tokens", "pipe.jsonl"), (*SMALL, "--tokens", "/dev/stdout")):
            with self.subTest(arguments):
                run = self.journaled(*arguments, status=2)
                self.assert_one_line(run.err)
                self.assertIn("regular file", run.err)
        run = self.run_program("--model", cli.MODEL, *SMALL, "--journal", self.path("notes.txt"), status=2)
        self.assertIn("is no journal", run.err)
        run = self.run_program("--model", cli.MODEL, *SMALL, "--journal", "r.json", "-o", "r.json", cwd=self.scratch, status=2)
        self.assertIn("two outputs", run.err)
        self.assertEqual(self.read("notes.txt"), b"my notes")
        self.assertEqual(sorted(os.listdir(self.scratch)), ["notes.txt", "pipe.jsonl"])

    def test_explore_needs_a_file_of_tokens(self):
        run = self.run_program("explore", "--model", cli.MODEL, *SMALL, "-o", "p.html", "--journal", "j", cwd=self.scratch, status=2)
        self.assertIn("--tokens FILE", run.err)

    def test_missing_partial_file(self):
        self.half_a_run()
        for name in os.listdir(self.scratch):
            if name.startswith("t.jsonl"):
                os.unlink(self.path(name))
        err = self.journaled(*SMALL, "--tokens", "t.jsonl", "-o", "r.json", status=3).err
        self.assertIn("delete the journal to start over", err)

    def start(self, *arguments):
        run = subprocess.Popen([cli.EVALMASK, "--model", cli.MODEL, "--journal", "j", *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=self.scratch)
        self.addCleanup(lambda: run.poll() is None and run.kill())
        return run

    def wait_for_records(self, run):
        """The head is some hundreds of bytes, a record some thousands."""
        end = time.monotonic() + cli.LIMIT
        while not os.path.exists(self.path("j")) or os.path.getsize(self.path("j")) < 12_000:
            self.assertIsNone(run.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_interrupted_then_resumed(self):
        given = ("--data", cli.SAMPLE, "--max-docs", "60", "-T", "256", "--mask", "doc,regular", "-o", "r.json", "--journal-every", "4")
        want = self.evaluate(*given[:-4], "-q")
        run = self.start(*given)
        self.wait_for_records(run)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=cli.LIMIT)
        self.assertEqual(run.returncode, 130, err)
        self.assertIn("PARTIAL", out)
        self.assertIn("j has what is done", err)
        self.assertFalse(os.path.exists(self.path("r.json")))
        self.assertIn("j: going on after row", self.journaled(*given).err)
        self.assertEqual(self.read("r.json"), want)

    def test_one_journal_has_one_run(self):
        given = ("--data", cli.SAMPLE, "-T", "256", "--mask", "doc,regular", "--journal-every", "4", "-q")
        run = self.start(*given)
        self.wait_for_records(run)
        self.assertIn("another process", self.journaled(*given, status=2).err)
        run.kill()
        run.communicate()

    def test_a_run_that_did_nothing_leaves_nothing(self):
        self.journaled(*SMALL, "--max-docs", "3", "--eos", "no such token", "-o", "r.json", status=2)
        data = self.write("bad.jsonl", '{"text": 3}\n')
        self.journaled("--data", data, "-o", "r.json", status=3)
        self.assertEqual(os.listdir(self.scratch), ["bad.jsonl"])

    def test_two_runs_with_one_output(self):
        """Without a journal; each writes a whole file, and the last one keeps the name."""
        want = self.evaluate(*SMALL, "--mask", "doc,regular")
        runs = [subprocess.Popen([cli.EVALMASK, "--model", cli.MODEL, *SMALL, "--mask", "doc,regular", "-o", "r.json"], cwd=self.scratch,
                                 stdout=subprocess.DEVNULL) for _ in range(3)]
        for run in runs:
            self.assertEqual(run.wait(cli.LIMIT), 0)
        self.assertEqual(self.read("r.json"), want)
        self.assertEqual(unzst(self.path("r.documents.jsonl.zst")), unzst(self.path("evaluate.documents.jsonl.zst")))
        self.assertEqual(len(os.listdir(self.scratch)), 4)


if __name__ == "__main__":
    unittest.main()

"""Ctrl-C: exit code 130, soon, and no file that looks whole but is not."""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import cli


class Interrupt(cli.Case):
    def start(self, *arguments, **more):
        run = subprocess.Popen([cli.EVALMASK, "--model", cli.MODEL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, **more)
        self.addCleanup(self.end, run)
        return run

    @staticmethod
    def end(run):
        if run.poll() is None:
            run.kill()
        if run.stdin:
            run.stdin.close()
            run.stdin = None
        run.communicate()

    def stop(self, run, number=signal.SIGINT):
        run.send_signal(number)
        out, err = run.communicate(timeout=cli.LIMIT)
        self.assertEqual(run.returncode, 130, err)
        self.assertNotIn("\n\n", err)
        return out, err

    def check_what_is_left(self):
        """What lies under a file's own name is whole, and says that the run is not."""
        for name in os.listdir(self.scratch):
            self.assertFalse(name.endswith(".partial"), name)
        if os.path.exists(self.path("r.json")):
            with open(self.path("r.json"), encoding="utf-8") as f:
                got = json.load(f)
            self.assertIs(got["partial"], True)
            return got
        self.assertEqual(os.listdir(self.scratch), [])
        return None

    def test_in_the_middle(self):
        data = self.write("repeated.jsonl.zst", open_bytes(cli.SAMPLE) * 40)
        run = self.start("--data", data, "--mask", "doc,regular,full", "-q", "-o", self.path("r.json"), "--tokens",
                         self.path("t.jsonl.zst"))
        time.sleep(3)
        self.stop(run)
        os.unlink(data)
        self.check_what_is_left()

    def test_before_the_last_data_set(self):
        """A data set that the run never came to has no row in the tables, and no part in a mean."""
        data = self.write("repeated.jsonl.zst", open_bytes(cli.SAMPLE) * 40)
        run = self.start("--data", "long=" + data, "--data", "never=" + cli.MIXED, "-q")
        time.sleep(3)
        out, _ = self.stop(run)
        self.assertIn("PARTIAL", out)
        self.assertIn("Data long:", out)
        self.assertNotIn("never", out)
        self.assertNotIn("| 0.0000 |", out)
        self.assertNotIn("Macro", out)

    def test_while_it_waits_for_a_pipe(self):
        run = self.start("--data", "-", "-T", "64", "-q", "-o", self.path("r.json"), stdin=subprocess.PIPE)
        run.stdin.write("".join(json.dumps(r) + "\n" for r in cli.records()))
        run.stdin.flush()
        time.sleep(2)
        run.send_signal(signal.SIGINT)
        self.assertEqual(run.wait(60), 130)     # while the pipe stays open
        self.check_what_is_left()


def open_bytes(path):
    with open(path, "rb") as f:
        return f.read()


class LostCheckpoint(cli.Case):
    def test_a_checkpoint_that_becomes_shorter(self):
        """A page of a mapped file that is gone: one line, not a core dump."""
        if cli.SANITIZED:
            self.skipTest("the sanitizer has its own handler")
        model = self.path("m.bin")
        shutil.copy(cli.MODEL, model)
        run = subprocess.Popen([cli.EVALMASK, "--model", model, "--data", "-", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        time.sleep(0.5)
        os.truncate(model, 100000)
        with open(cli.MIXED, "rb") as f:
            _, err = run.communicate(f.read(), timeout=cli.LIMIT)
        self.assertEqual(run.returncode, 3)
        self.assert_one_line(err.decode())


if __name__ == "__main__":
    unittest.main()

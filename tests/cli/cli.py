"""What the end-to-end tests share. They run the built program as a user does:

    EVALMASK=build/release/evalmask EVALMASK_BUILD=build/release python3 -m unittest discover -s tests/cli
"""
import json
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EVALMASK = os.path.abspath(os.environ.get("EVALMASK", "evalmask"))
MODEL = os.path.join(ROOT, "data", "base.bin")
SAMPLE = os.path.join(ROOT, "data", "sample.jsonl.zst")
MIXED = os.path.join(ROOT, "tests", "golden", "mixed.jsonl")     # 23 documents, 4,692 tokens
SANITIZED = os.environ.get("EVALMASK_SANITIZE") == "ON"
LIMIT = 900     # seconds for one run: a sanitizer build on a busy machine


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name

    def path(self, name):
        return os.path.join(self.scratch, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def run_program(self, *arguments, status=0, binary=EVALMASK, **more):
        run = subprocess.run([binary, *map(str, arguments)], capture_output=True, timeout=LIMIT, **more)
        run.out, run.err = run.stdout.decode(), run.stderr.decode()
        self.assertEqual(run.returncode, status, f"{' '.join(map(str, arguments))}\n{run.err}{run.out[-2000:]}")
        return run

    def evaluate(self, *arguments, **more):
        """Bytes of results.json of a run of the bundled model."""
        out = self.path("evaluate.json")
        self.run_program("--model", MODEL, *arguments, "-o", out, **more)
        with open(out, "rb") as f:
            return f.read()

    def results(self, *arguments, **more):
        return json.loads(self.evaluate(*arguments, **more))

    def assert_one_line(self, text):
        self.assertTrue(text.startswith("evalmask: ") and text.count("\n") == 1, text)


def records(path=MIXED):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]

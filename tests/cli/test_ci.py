"""docs/ci.md: the workflow files are whole, and their commands do what the page says. Building evalmask and the package
manager are left to a CI machine."""
import os
import re
import shutil
import subprocess
import unittest

import cli
from test_diff import other_model

try:
    import yaml
except ImportError:
    yaml = None


def blocks(language):
    with open(os.path.join(cli.ROOT, "docs", "ci.md"), encoding="utf-8") as f:
        return re.findall(rf"^```{language}\n(.*?)^```$", f.read(), re.M | re.S)


@unittest.skipUnless(yaml, "python3-yaml is not installed")
class Workflows(cli.Case):
    def setUp(self):
        super().setUp()
        self.github, gitlab = (yaml.safe_load(text) for text in blocks("yaml"))
        self.gitlab = gitlab["loss"]
        os.mkdir(self.path("bin"))
        os.symlink(cli.EVALMASK, self.path("bin/evalmask"))
        os.mkdir(self.path("eval"))
        shutil.copy(cli.MODEL, self.path("model.bin"))
        with open(cli.MIXED, encoding="utf-8") as f:
            self.write("eval/val.jsonl", "".join(f.readlines()[:8]))

    def shell(self, script, status=0):
        """As GitHub runs a step."""
        environment = {**os.environ, "PATH": self.path("bin") + ":" + os.environ["PATH"], "GITHUB_STEP_SUMMARY": self.path("summary.md")}
        run = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=self.scratch, env=environment,
                             capture_output=True, text=True, timeout=cli.LIMIT)
        self.assertEqual(run.returncode, status, run.stderr)
        return run

    def steps(self):
        return self.github["jobs"]["loss"]["steps"]

    def step(self, name):
        return next(s for s in self.steps() if s.get("name") == name)

    def baseline(self):
        self.shell(blocks("sh")[0].replace("git add", "ls"))

    def test_github_has_what_a_workflow_needs(self):
        self.assertEqual(set(self.github), {"name", True, "permissions", "jobs"})     # YAML 1.1 reads "on" as true
        self.assertEqual(set(self.github[True]), {"pull_request", "workflow_dispatch"})
        for s in self.steps():
            self.assertEqual(("uses" in s) + ("run" in s), 1, s)
            self.assertRegex(s.get("uses", "owner/action@v1"), r"^[\w-]+/[\w-]+@v\d+$")
            self.assertLessEqual(set(s), {"name", "uses", "run", "with", "if", "id", "env"})

    def test_scripts_are_shell(self):
        scripts = [s["run"] for s in self.steps() if "run" in s] + self.gitlab["before_script"] + self.gitlab["script"]
        for script in scripts:
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)

    def test_a_baseline_and_the_gate_on_github(self):
        self.baseline()
        self.shell(self.step("Measure")["run"])
        for path in self.step("Keep the reports")["with"]["path"].split():
            self.assertTrue(os.path.exists(self.path(path)), path)
        with open(self.path("summary.md"), encoding="utf-8") as f:
            self.assertIn("## Gate: passed (2)", f.read())
        other_model(self.path("model.bin"), -1)
        run = self.shell(self.step("Measure")["run"], status=1)
        self.assertIn("doc, unshifted: worse by", run.stderr)
        for path in self.step("Keep the reports")["with"]["path"].split():
            self.assertTrue(os.path.exists(self.path(path)), path)

    def test_the_gate_on_gitlab(self):
        self.baseline()
        self.shell(self.gitlab["script"][0])
        artifacts = self.gitlab["artifacts"]
        for path in artifacts["paths"] + [artifacts["reports"]["junit"]]:
            self.assertTrue(os.path.exists(self.path(path)), path)
        self.assertEqual(self.gitlab["script"][0].split(), self.step("Measure")["run"].replace("\\\n", " ").split())

    def test_a_new_baseline_and_two_files(self):
        self.baseline()
        other_model(self.path("model.bin"), -1)
        self.shell(self.step("Measure")["run"], status=1)
        self.shell(blocks("sh")[2].replace("2se", "0.001"), status=1)
        run = self.shell(blocks("sh")[1])
        self.assertIn("# eval/new.json minus eval/baseline.json", run.stdout)
        self.shell(self.step("Measure")["run"])
        self.shell(blocks("sh")[2])


if __name__ == "__main__":
    unittest.main()

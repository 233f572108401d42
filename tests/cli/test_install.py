"""cmake --install into an empty prefix gives a program that works from there."""
import os
import shutil
import subprocess
import unittest

import cli

BUILD = os.environ.get("EVALMASK_BUILD", os.path.join(cli.ROOT, "build", "release"))


class Install(cli.Case):
    def test_prefix(self):
        subprocess.run(["cmake", "--install", BUILD, "--prefix", self.path("prefix")], check=True, stdout=subprocess.DEVNULL)
        moved = self.path("moved")
        os.rename(self.path("prefix"), moved)
        files = {os.path.relpath(os.path.join(d, f), moved) for d, _, names in os.walk(moved) for f in names}
        configs = {f"share/evalmask/configs/{name}" for name in os.listdir(os.path.join(cli.ROOT, "configs"))}
        self.assertEqual(files, configs | {
            "bin/evalmask", "share/evalmask/base.bin", "share/evalmask/instruct.bin", "share/evalmask/tinystories-656k.bin",
            "share/evalmask/tinystories.jsonl.zst", "share/doc/evalmask/data/Apache-2.0.txt", "share/evalmask/bard-lora/adapter_config.json",
            "share/evalmask/bard-lora/adapter_model.safetensors", "share/evalmask/sample.jsonl.zst", "share/man/man1/evalmask.1",
            "share/doc/evalmask/README.md", "share/doc/evalmask/data/SOURCES.md", "share/evalmask/results.schema.json"})
        with open(os.path.join(moved, "share/man/man1/evalmask.1"), encoding="utf-8") as f:
            self.assertEqual(f.read(), self.run_program("help", "--man").out)
        self.finds_its_own_configs(moved)
        self.uses_its_own_sample(moved)

    def finds_its_own_configs(self, prefix):
        name = os.path.join(prefix, "share/evalmask/configs/own.json")
        with open(name, "w", encoding="utf-8") as f:
            f.write('{"title": "Our own", "about": "ours", "options": {"seq-len": 64}, "bundled": {"model": "base.bin"}}')
        binary = os.path.join(prefix, "bin/evalmask")
        self.assertIn("\nown\n    ours\n", self.run_program("help", "configs", binary=binary, cwd="/").out)
        self.assertIn("T = 64", self.run_program("--config", "own", "--max-docs", "1", "-q", binary=binary, cwd="/").out)
        os.remove(name)

    def uses_its_own_sample(self, prefix):
        """Another shard in the sample's place is what the installed program reads, wherever it is called from."""
        shutil.copyfile(cli.MIXED, os.path.join(prefix, "share/evalmask/sample.jsonl.zst"))
        run = self.run_program("--model", os.path.join(prefix, "share/evalmask/base.bin"), "-T", "128", cwd="/",
                               binary=os.path.join(prefix, "bin/evalmask"))
        self.assertIn("23 documents", run.out)
        self.assertIn("bundled sample", run.out)

    def test_destdir(self):
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "DESTDIR": self.scratch})
        self.assertTrue(os.access(self.path("usr/bin/evalmask"), os.X_OK))
        self.assertTrue(os.path.isfile(self.path("usr/share/evalmask/sample.jsonl.zst")))


if __name__ == "__main__":
    unittest.main()

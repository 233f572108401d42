"""Runs of several processes under mpirun: the same bytes whatever the ranks, one voice, and one end for all."""
import glob
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import cli

MPIRUN = shutil.which("mpirun")
LINKED = b"libmpi" in subprocess.run(["ldd", cli.EVALMASK], capture_output=True).stdout
OVERSUBSCRIBED = ("--allow-run-as-root", "--oversubscribe", "--bind-to", "none")
SMALL = ("--data", cli.MIXED, "-T", "64", "--threads", "1", "-q")
REPEATED = 40       # of the sample: minutes of work
# One number of them under sanitizers: those look at memory, and the release build compares the bytes for all.
NUMBERS_OF_RANKS = (3,) if cli.SANITIZED else (2, 3, 4)
LORA = os.path.join(cli.ROOT, "data", "bard-lora")


def environment():
    """Open MPI leaks, and unloads the modules that did, so that no suppression could name them."""
    return dict(os.environ, ASAN_OPTIONS="detect_leaks=0")


@unittest.skipUnless(MPIRUN, "mpirun is not installed")
@unittest.skipUnless(LINKED, "this build has no MPI")
class Ranks(cli.Case):
    def command(self, ranks, *arguments):
        return [MPIRUN, *OVERSUBSCRIBED, "-n", str(ranks), cli.EVALMASK, *map(str, arguments)]

    def launch(self, ranks, *arguments, status=0):
        run = subprocess.run(self.command(ranks, *arguments), capture_output=True, timeout=cli.LIMIT, env=environment())
        run.out, run.err = run.stdout.decode(), run.stderr.decode()
        self.assertEqual(run.returncode, status, run.err + run.out[-2000:])
        return run

    def line(self, run):
        """What evalmask itself says: one line, beside mpirun's own."""
        lines = [line for line in run.err.splitlines() if line.startswith("evalmask: ")]
        self.assertEqual(len(lines), 1, run.err)
        return lines[0]

    def files(self):
        got = {}
        for name in sorted(os.listdir(self.scratch)):
            with open(self.path(name), "rb") as f:
                got[name] = f.read()
            os.unlink(self.path(name))
        return got

    def compare(self, *arguments, tokens=True, ranks=NUMBERS_OF_RANKS):
        """All outputs and the report, against those of a process that is alone."""
        outputs = ["-o", self.path("r.json"), *(["--tokens", self.path("t.jsonl")] if tokens else [])]
        alone = self.run_program(*arguments, *outputs)
        want = self.files()
        self.assertEqual(len(want), 2 + tokens)
        for n in ranks:
            with self.subTest(ranks=n):
                run = self.launch(n, *arguments, *outputs)
                self.assertEqual(want, self.files())
                self.assertEqual(alone.out, run.out)
                self.assertEqual(run.err, "")


class SameBytes(Ranks):
    def test_masks_labels_and_positions(self):
        self.compare("--model", cli.MODEL, *SMALL, "--mask", "doc,regular,flip0,doc-full", "--positions", "reset,continuous",
                     "--labels", "unshifted,shifted,raw-unshifted,backward", "-B", "3", ranks=(1, *NUMBERS_OF_RANKS))

    def test_alphas(self):
        self.compare("--model", cli.MODEL, "--adapter", LORA, "--alpha=-2:2:1", *SMALL, "--mask", "doc,regular")

    def test_depths(self):
        self.compare("--model", cli.MODEL, "--depth", "0,2,6", *SMALL)

    def test_data_sets_and_row_lengths(self):
        one, two = self.path("1.jsonl"), self.path("2.jsonl")
        with open(cli.MIXED, "rb") as f:
            lines = f.read().splitlines(True)
        scratch, self.scratch = self.scratch, os.path.join(self.scratch, "outputs")
        os.mkdir(self.scratch)
        self.addCleanup(setattr, self, "scratch", scratch)
        for path, part in ((one, lines[:9]), (two, lines[9:])):
            with open(path, "wb") as f:
                f.writelines(part)
        self.compare("--model", cli.MODEL, "--data", "a=" + one, "--data", "b=" + two, "-T", "32,128", "--threads", "1", "-q",
                     ranks=(3,))

    def test_layers_that_are_packed_anew(self):
        run = self.run_program("--model", cli.MODEL, *SMALL, "--mask", "doc,full", "--memory", "1M", status=4)
        least = int(run.err.split("give --memory at least ")[1].split()[0])
        for memory in (least + 30, least + 60):
            self.compare("--model", cli.MODEL, *SMALL, "--mask", "doc,full", "--memory", f"{memory}M", ranks=(3,))

    def test_jobs_of_the_usual_size(self):
        """Many super-batches, threads, and rows that come back out of order."""
        self.compare("--model", cli.MODEL, "--threads", "2", "--max-docs", "60", "-q", ranks=(3,))

    def test_profile(self):
        self.launch(2, "--model", cli.MODEL, *SMALL, "--profile", self.path("p.json"))
        with open(self.path("p.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["ranks"], 2)


class Errors(Ranks):
    def test_usage(self):
        self.assertIn("did you mean --model?", self.line(self.launch(3, "--modle", "x", status=2)))
        self.assertIn("start them without mpirun", self.line(self.launch(2, "bench", status=2)))

    def test_other_commands_run_once(self):
        self.assertEqual(self.launch(3, "version").out.count("\n"), 1)

    def test_no_model(self):
        self.assertIn("/nowhere/x", self.line(self.launch(3, "--model", "/nowhere/x", status=3)))

    def with_nan(self):
        """A weight of the last layer is not finite: no rank sees it before it computes."""
        with open(cli.MODEL, "rb") as f:
            model = bytearray(f.read())
        size = int.from_bytes(model[:8], "little")
        start, end = json.loads(model[8:8 + size])["model.layers.5.mlp.down_proj.weight"]["data_offsets"]
        at = 8 + size + (start + end) // 4 * 2
        model[at:at + 2] = b"\xc0\x7f"
        return self.write("nan.bin", bytes(model))

    def test_a_weight_that_is_not_finite(self):
        model = self.with_nan()
        alone = self.run_program("--model", model, *SMALL, status=3)
        self.assertIn("model.layers.5.mlp.down_proj.weight", alone.err)
        run = self.launch(3, "--model", model, *SMALL, "-o", self.path("r.json"), status=3)
        self.assertEqual(self.line(run) + "\n", alone.err)
        self.assertEqual(os.listdir(self.scratch), ["nan.bin"])

    def unlike(self, first, second, status, variable=()):
        command = [MPIRUN, *OVERSUBSCRIBED, "-n", "1", cli.EVALMASK, *first, ":", "-n", "1", *variable, cli.EVALMASK, *second]
        run = subprocess.run(command, capture_output=True, timeout=cli.LIMIT, env=environment())
        run.out, run.err = run.stdout.decode(), run.stderr.decode()
        self.assertEqual(run.returncode, status, run.err)
        return run

    def test_unlike_models(self):
        other = self.path("other.bin")
        shutil.copy(cli.MODEL, other)
        with open(other, "r+b") as f:
            size = int.from_bytes(f.read(8), "little")
            start = json.loads(f.read(size))["model.layers.3.mlp.up_proj.weight"]["data_offsets"][0]
            f.seek(8 + size + start)
            f.write(b"\0\0")
        run = self.unlike(("--model", cli.MODEL, *SMALL), ("--model", other, *SMALL), 4)
        self.assertRegex(self.line(run), "rank 1 on .* has other model files than rank 0")

    def test_unlike_adapters(self):
        other = self.path("lora")
        shutil.copytree(LORA, other)
        with open(os.path.join(other, "adapter_model.safetensors"), "r+b") as f:
            size = int.from_bytes(f.read(8), "little")
            f.seek(8 + size)
            f.write(b"\0\0\1")
        command = ("--model", cli.MODEL, *SMALL, "--adapter")
        run = self.unlike((*command, LORA), (*command, other), 4)
        self.assertRegex(self.line(run), "rank 1 on .* has other model files than rank 0")

    def test_unlike_instruction_sets(self):
        isa = self.run_program("--model", cli.MODEL, *SMALL).out
        slower = ("-x", "ONEDNN_MAX_CPU_ISA=AVX2")
        if "avx512" not in isa:
            self.skipTest("this machine has but one instruction set to choose from")
        same = ("--model", cli.MODEL, *SMALL)
        said = self.line(self.unlike(same, same, 4, slower))
        self.assertRegex(said, "rank 1 on .* computes on cpu, avx2, rank 0 on .* on cpu, avx512.*--mixed")
        mixed = (*same, "--mixed", "-o", self.path("r.json"))
        self.assertIn("unlike devices (--mixed)", self.unlike(mixed, mixed, 0, slower).out)
        with open(self.path("r.json"), encoding="utf-8") as f:
            self.assertRegex(json.load(f)["protocol"]["mixed"], "^cpu, avx512.*; cpu, avx2$")


class Ends(Ranks):
    """Signals in the middle of a long run."""
    def start(self, *arguments):
        data = self.write("repeated.jsonl.zst", open_bytes(cli.SAMPLE) * REPEATED)
        codes = self.path("status")
        script = f'trap : TERM INT; "$@"; code=$?; echo $code > "{codes}.$OMPI_COMM_WORLD_RANK"; exit $code'
        command = [MPIRUN, *OVERSUBSCRIBED, "--mca", "odls_base_sigkill_timeout", "5", "-n", "3", "sh", "-c", script, "sh",
                   cli.EVALMASK, "--model", cli.MODEL, "--data", data, "--threads", "1", "-q", *arguments]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True)
        self.addCleanup(self.finish, run)
        return run

    @staticmethod
    def finish(run):
        if run.poll() is None:
            run.kill()
        run.communicate()

    def pids(self, run):
        """Of the ranks, once all are there: this test's, by the scratch folder in their command lines."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = dict(filter(None, map(self.rank_of, glob.glob("/proc/[0-9]*"))))
            if len(found) == 3:
                return found
            time.sleep(0.1)
        self.fail("the ranks did not start")

    def rank_of(self, process):
        try:
            with open(process + "/environ", "rb") as e, open(process + "/cmdline", "rb") as c:
                variables, ours = e.read().split(b"\0"), self.scratch.encode() in c.read()
            ours = ours and os.readlink(process + "/exe") == os.path.realpath(cli.EVALMASK)
        except OSError:
            return None
        rank = [v for v in variables if v.startswith(b"OMPI_COMM_WORLD_RANK=")]
        return (int(rank[0].split(b"=")[1]), int(process[6:])) if ours and rank else None

    def end(self, run):
        out, err = run.communicate(timeout=cli.LIMIT)
        return out, [line for line in err.splitlines() if line.startswith("evalmask: ")]

    def status(self, rank):
        with open(self.path(f"status.{rank}"), encoding="utf-8") as f:
            return int(f.read())

    def wait_for_rows(self):
        """The journal has a point: rows have come back."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if os.path.exists(self.path("j")) and os.path.getsize(self.path("j")) > 4096:
                return
            time.sleep(0.2)
        self.fail("no row was counted")

    def test_interrupt(self):
        run = self.start("--journal", self.path("j"), "--journal-every", "16")
        pids = self.pids(run)
        self.wait_for_rows()
        os.kill(pids[0], signal.SIGINT)
        out, said = self.end(run)
        self.assertEqual(self.status(0), 130)
        self.assertEqual(said, [])
        self.assertIn("PARTIAL", out)
        self.assertFalse(any(os.path.exists(f"/proc/{pid}") for pid in pids.values()))

    def test_a_rank_that_dies(self):
        run = self.start("--journal", self.path("j"), "--journal-every", "16", "-o", self.path("r.json"))
        pids = self.pids(run)
        self.wait_for_rows()
        os.kill(pids[2], signal.SIGKILL)
        _, said = self.end(run)
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], "rank 2 on .* died")
        self.assertEqual(self.status(0), 4)
        self.assertFalse(os.path.exists(self.path("r.json")))
        self.assertTrue(os.path.exists(self.path("j")))

    def test_the_journal_goes_on_with_other_ranks(self):
        """Interrupted under three ranks, finished by one process: the bytes of a run that nothing interrupted."""
        data = ("--model", cli.MODEL, "--threads", "1", "-q", "--max-docs", "80")
        want = self.evaluate(*data)
        arguments = (*data, "-o", self.path("r.json"), "--journal", self.path("j"), "--journal-every", "8")
        run = subprocess.Popen(self.command(3, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(self.finish, run)
        pids = self.pids(run)
        self.wait_for_rows()
        os.kill(pids[0], signal.SIGINT)
        run.communicate(timeout=cli.LIMIT)
        self.run_program(*arguments)
        with open(self.path("r.json"), "rb") as f:
            self.assertEqual(want, f.read())


def open_bytes(path):
    with open(path, "rb") as f:
        return f.read()


class WithoutMpi(cli.Case):
    def test_refusal(self):
        """A build without MPI would do the whole job in each process."""
        if LINKED:
            self.skipTest("this build has MPI")
        env = dict(os.environ, OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="2")
        self.assertIn("has no MPI", self.run_program("--model", cli.MODEL, status=2, env=env).err)


if __name__ == "__main__":
    unittest.main()

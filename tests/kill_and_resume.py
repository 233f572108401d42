"""Kills runs with a journal at random moments and checks that the same command ends with the same results.

    EVALMASK=build/release/evalmask python3 tests/kill_and_resume.py --times 300 [--seed N]

Every round picks a command at random, kills it with SIGKILL, SIGTERM or SIGINT at random moments between start and end
(sometimes it also tears the journal's tail or flips a bit of it), and gives the same command again until it comes to its
end. results.json must then be the undisturbed run's byte for byte, and so must what the per-document sums and --tokens
say, and nothing else may be left in the folder.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EVALMASK = os.path.abspath(os.environ.get("EVALMASK", "evalmask"))
MODEL = os.path.join(ROOT, "data", "base.bin")
MIXED = os.path.join(ROOT, "tests", "golden", "mixed.jsonl")
SMALL = os.path.join(ROOT, "tests", "eval", "small.jsonl")
SAMPLE = os.path.join(ROOT, "data", "sample.jsonl.zst")
JOURNAL = "run.journal"

# Each with what the others lack: several data sets, row lengths and packings, a pair with alphas, dropped batches, depths.
COMMANDS = [
    ["--data", MIXED, "-T", "64", "--mask", "doc,regular", "--tokens", "tokens.jsonl.zst", "--journal-every", "7"],
    ["--data", "a=" + MIXED, "--data", "b=" + SMALL, "-T", "32,64", "--mask", "doc,flip0", "--journal-every", "9"],
    ["--compare", MODEL, "--alpha=-1:2:1", "--data", MIXED, "-T", "96", "--labels", "unshifted,shifted", "--journal-every", "5"],
    ["--data", MIXED, "-T", "48,96", "-B", "3", "--tail", "drop", "--mask", "doc,regular", "--tokens", "tokens.jsonl", "--journal-every", "11"],
    ["--data", MIXED, "-T", "128", "--depth", "all", "--pack", "none", "--journal-every", "3"],
    ["--data", SMALL, "-T", "32", "--pack", "stream,none", "--tokens", "tokens.jsonl", "--journal-every", "4"],
    ["--data", SAMPLE, "--max-docs", "8", "-T", "256", "--group-by", "meta.pile_set_name"],
]


def command(arguments):
    return [EVALMASK, "--model", MODEL, *arguments, "-o", "r.json", "--threads", "2", "-q"]


def plain(arguments):
    """Without what only a journal wants."""
    at = arguments.index("--journal-every") if "--journal-every" in arguments else len(arguments)
    return arguments[:at] + arguments[at + 2:]


def contents(folder):
    """What the files of a finished run say; compressed ones are compared by their contents."""
    found = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".zst"):
            found[name] = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
        else:
            with open(path, "rb") as f:
                found[name] = f.read()
    return found


class Reference:
    """A command's undisturbed run, without a journal."""

    def __init__(self, arguments):
        self.arguments = arguments
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            subprocess.run(command(plain(arguments)), cwd=folder, check=True, stdout=subprocess.DEVNULL)
            self.seconds = time.monotonic() - start
            self.files = contents(folder)


def damage(path, dice):
    """Tears the tail or flips a bit, as a disk may; what it did, for the report."""
    size = os.path.getsize(path) if os.path.exists(path) else 0
    if size == 0:
        return None
    with open(path, "r+b") as f:
        if dice.random() < 0.5:
            at = dice.randrange(size)
            f.truncate(at)
            return f"torn at {at} of {size}"
        at = dice.randrange(size)
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << dice.randrange(8)]))
        return f"bit flipped at {at} of {size}"


def one_round(reference, dice, say=lambda text: None, damages=True):
    """Kills, resumes and compares; a string that says what is wrong, or None. Returns (error, kills)."""
    kills = 0
    with tempfile.TemporaryDirectory() as folder:
        journal = os.path.join(folder, JOURNAL)
        call = [*command(reference.arguments), "--journal", JOURNAL]
        for _ in range(dice.randrange(1, 5)):
            run = subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            number = dice.choice([signal.SIGKILL] * 6 + [signal.SIGTERM, signal.SIGINT])
            moment = dice.uniform(0, 1.3 * reference.seconds) if dice.random() < 0.9 else dice.uniform(0, 0.05)
            try:
                run.wait(moment)
            except subprocess.TimeoutExpired:
                run.send_signal(number)
            err = run.communicate(timeout=300)[1].decode()
            killed = run.returncode in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 130)
            say(f"  after {moment:.3f} s: {signal.Signals(number).name if killed else 'came to its end'}")
            if not killed:
                if run.returncode:
                    return f"exit code {run.returncode}: {err}", kills
                break
            kills += 1
            if damages and dice.random() < 0.15:
                what = damage(journal, dice)
                say(f"  journal: {what}")
                if what and refused_or_resumed(call, folder):
                    shutil.rmtree(folder)       # start over, as the message says
                    os.mkdir(folder)
        else:
            run = subprocess.run(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            if run.returncode:
                return f"exit code {run.returncode}: {run.stderr.decode()}", kills
        return compare(reference.files, contents(folder)), kills


def refused_or_resumed(call, folder):
    """Whether a damaged journal is refused in so many words; the command is stopped where it goes on."""
    run = subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        run.wait(0.3)
    except subprocess.TimeoutExpired:
        run.kill()
    err = run.communicate()[1].decode()
    return run.returncode in (2, 3) and "journal" in err


def compare(want, got):
    if set(want) != set(got):
        return f"files are {sorted(got)}, not {sorted(want)}"
    for name in want:
        if want[name] != got[name]:
            return f"{name} differs"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=300, help="kills to reach")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    references = [Reference(c) for c in COMMANDS]
    kills = rounds = 0
    while kills < options.times:
        reference = dice.choice(references)
        if options.verbose:
            print(" ".join(reference.arguments))
        error, more = one_round(reference, dice, print if options.verbose else lambda text: None)
        kills += more
        rounds += 1
        if error:
            print(f"seed {options.seed}, round {rounds}: {error}\n  {' '.join(reference.arguments)}")
            return 1
        if rounds % 20 == 0:
            print(f"{rounds} runs, {kills} kills", flush=True)
    print(f"{rounds} runs ended with the same results after {kills} kills (seed {options.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""llama-perplexity on the work of bench/peers.py: the checkpoint as GGUF, the data as one text, its rate and perplexity.

It knows one protocol: plain text without BOS or EOS in windows of T tokens, the regular mask, and only the second half
of each window is scored. evalmask can be held to the same text and mask, and to the same predictions by --tokens.
"""
import json
import math
import os
import re
import subprocess
import sys
import time

CALM = ["--override-kv", "tokenizer.ggml.add_bos_token=bool:false"]     # else the first token of each window becomes BOS


def convert(llama_cpp, model, dtype, folder):
    """The checkpoint as GGUF, by llama.cpp's own script; it wants the tokenizer beside the weights."""
    out = os.path.join(folder, "model.gguf")
    script = os.path.join(llama_cpp, "convert_hf_to_gguf.py")
    run = subprocess.run([sys.executable, script, model, "--outfile", out, "--outtype", dtype], capture_output=True, text=True)
    if run.returncode or not os.path.exists(out):
        sys.exit(f"{script} failed:\n{run.stderr[-2000:]}")
    return out


def plain_text(data, tokens, folder):
    """The data's documents, a line feed between them, as one file that is long enough for so many tokens."""
    path = os.path.join(folder, "data.txt")
    reader = subprocess.run(["zstdcat" if data.endswith(".zst") else "cat", data], capture_output=True, check=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        for line in reader.stdout.splitlines():
            f.write(json.loads(line)["text"] + "\n")
            if f.tell() > 8 * tokens:
                break
    return path


def score(program, gguf, text, T, rows, threads):
    """Seconds of scoring `rows` windows, as its own lines come by (its logits and their softmax, not tokenizing), seconds
    from start to exit, and the mean loss."""
    command = [program, "-m", gguf, "-f", text, "-c", str(T), "--chunks", str(rows), "-t", str(threads), *CALM]
    started, begin, end, perplexity, log = time.perf_counter(), None, None, None, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as run:
        for line in run.stdout:
            log.append(line)
            if "calculating perplexity over" in line:
                begin = time.perf_counter()
                if int(re.search(r"over (\d+) chunks", line)[1]) != rows:
                    sys.exit(f"llama-perplexity finds fewer than {rows} windows of {T} tokens in the text: lower --our-rows")
            if found := re.search(r"Final estimate: PPL = ([\d.]+)", line):
                end, perplexity = time.perf_counter(), float(found[1])
    if run.returncode or begin is None or end is None:
        sys.exit("llama-perplexity gave no estimate:\n" + "".join(log[-20:]))
    return end - begin, time.perf_counter() - started, math.log(perplexity)


def second_half(tokens_file, T):
    """The mean loss of evalmask's --tokens file over the predictions that llama-perplexity counts."""
    total = count = 0
    with open(tokens_file) as f:
        for line in f:
            prediction = json.loads(line)
            if prediction["pos"] >= T // 2:
                total += next(iter(prediction["nll"].values()))
                count += 1
    return total / count

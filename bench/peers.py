#!/usr/bin/env python3
"""evalmask beside Hugging Face transformers (and llama-perplexity) on the same work, as Markdown.

    python3 bench/peers.py                                         # 135M shape, T = 1024, document mask
    python3 bench/peers.py -T 8192 --attention sdpa
    python3 bench/peers.py --dtype bf16 --mask regular
    python3 bench/peers.py --model models/tiny-llama-base --data val.jsonl.zst --rows 24
    python3 bench/peers.py --llama-cpp llama.cpp --llama-perplexity llama.cpp/build/bin/llama-perplexity

Wants PyPI's torch, transformers and safetensors (CPU); for llama-perplexity sentencepiece, too, and llama.cpp's source,
whose script makes the GGUF. The Hugging Face side does what published scripts do: a dense
additive mask [B, 1, T, T], position ids, logits of all positions over the whole vocabulary, cross-entropy. Both sides see
the same weights, token ids, masks and positions, and their losses must agree. Hugging Face is timed inside its loop over
batches, with model and tokens loaded; evalmask likewise without opening and packing its weights, and, in a line of its own,
as a whole process from start to exit. The sides take turns, and the figures are medians over the rounds.

llama-perplexity reads plain text, without EOS or a mask of ours, and scores the second half of each row (so its head does half
the work). Beside it evalmask runs on that text, too, with the regular mask, all positions scored; for the losses, those of the
second halves are compared.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import llama_peer
import torch
import torch.nn.functional as F
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from dense import mask_and_positions

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHAPES = {      # as in eval/bench/bench_model.c: vocabulary, hidden, layers, heads, kv heads, head size, inner size
    "tiny-llama": (4096, 192, 6, 6, 3, 32, 512), "smollm-135m": (49152, 576, 30, 9, 3, 64, 1536),
    "smollm-360m": (49152, 960, 32, 15, 5, 64, 2560), "llama-1b": (128256, 2048, 16, 32, 8, 64, 8192)}


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--evalmask", default=os.path.join(ROOT, "build/release/evalmask"))
    p.add_argument("--shape", default="smollm-135m", choices=SHAPES, help="random weights of that shape (default %(default)s)")
    p.add_argument("--model", help="a Hugging Face directory instead of a shape")
    p.add_argument("--data", default=os.path.join(ROOT, "data/sample.jsonl.zst"))
    p.add_argument("-T", type=int, default=1024)
    p.add_argument("-B", type=int, default=3)
    p.add_argument("--mask", default="doc", choices=("doc", "regular"))
    p.add_argument("--dtype", default="f32", choices=("f32", "bf16"))
    p.add_argument("--attention", default="sdpa,eager", help="of Hugging Face (default %(default)s; '': leave it out)")
    p.add_argument("--rows", type=int, default=6, help="rows a round for Hugging Face (default %(default)s)")
    p.add_argument("--our-rows", type=int, help="rows a round for evalmask (default: twice as many)")
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--llama-perplexity", metavar="PATH", help="the program")
    p.add_argument("--llama-cpp", metavar="DIR", help="its source: convert_hf_to_gguf.py there makes the GGUF")
    p.add_argument("--gguf", metavar="FILE", help="the same model and dtype, where it is converted already")
    o = p.parse_args()
    o.our_rows = o.our_rows or 2 * o.rows
    o.sides = [a for a in o.attention.split(",") if a]
    if bool(o.llama_perplexity) != bool(o.gguf or o.llama_cpp):
        p.error("--llama-perplexity goes with --llama-cpp or --gguf")
    return o


# ---- the model and the tokens, the same for all ----

def make_model(o, folder):
    vocab, hidden, layers, heads, kv, head, inner = SHAPES[o.shape]
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                         num_key_value_heads=kv, head_dim=head, intermediate_size=inner, tie_word_embeddings=True,
                         max_position_embeddings=1 << 17, bos_token_id=1, eos_token_id=2)
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    with safe_open(os.path.join(ROOT, "data/base.bin"), "pt") as base, open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        f.write(bytes(base.get_tensor("file:tokenizer.model").numpy()))
    return folder


def stream(o, model):
    """Token ids and document numbers of the first rows, as evalmask packs them: each document's tokens, then EOS."""
    eos = AutoConfig.from_pretrained(model).eos_token_id
    eos = eos[0] if isinstance(eos, list) else eos
    run = subprocess.run([o.evalmask, "tokenize", "--tokenizer", model, o.data], capture_output=True, check=True)
    ids, documents = [], []
    for number, line in enumerate(run.stdout.splitlines()):
        tokens = json.loads(line)["ids"] + [eos]
        ids += tokens
        documents += [number] * len(tokens)
        if len(ids) >= o.T * max(o.rows, o.our_rows):
            break
    rows = min(len(ids) // o.T, max(o.rows, o.our_rows))
    o.rows, o.our_rows = min(o.rows, rows), min(o.our_rows, rows)
    shape = lambda x: torch.tensor(x[:rows * o.T]).view(rows, o.T)
    return shape(ids), shape(documents)


# ---- Hugging Face ----

class HuggingFace:
    def __init__(self, o, model, attention):
        self.o, self.dtype = o, torch.float32 if o.dtype == "f32" else torch.bfloat16
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=self.dtype, attn_implementation=attention).eval()

    @torch.no_grad()
    def run(self, ids, documents):
        """Seconds and the mean loss."""
        begin, total, count = time.perf_counter(), 0.0, 0
        for row in range(0, self.o.rows, self.o.B):
            end = min(row + self.o.B, self.o.rows)
            x, (mask, positions) = ids[row:end], mask_and_positions(documents[row:end], self.o.mask, self.dtype)
            logits = self.model(input_ids=x, attention_mask=mask, position_ids=positions, use_cache=False).logits.float()
            total += F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1), reduction="sum").item()
            count += x[:, 1:].numel()
        return time.perf_counter() - begin, total / count


# ---- the programs ----

def evalmask(o, model, rows, data):
    """Seconds from start to exit, of these without loading weights, the mean loss, peak memory. data: options that name it."""
    with tempfile.TemporaryDirectory() as folder:
        out, profile = os.path.join(folder, "r.json"), os.path.join(folder, "p.json")
        begin = time.perf_counter()
        subprocess.run([o.evalmask, "--model", model, *data, "-T", str(o.T), "-B", str(o.B),
                        "--dtype", o.dtype, "--threads", str(o.threads), "--max-tokens", str(rows * o.T),
                        "-q", "-o", out, "--profile", profile], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        with open(out) as f, open(profile) as p:
            cost = json.load(p)
            scoring = seconds - cost["open_seconds"] - cost["stages"]["pack"]
            return seconds, scoring, json.load(f)["results"][0]["loss"], cost["peak_memory_bytes"]


class LlamaPerplexity:
    """The program, and evalmask on the same text under the same mask."""

    def __init__(self, o, model, folder):
        self.o, self.model = o, model
        self.text = llama_peer.plain_text(o.data, o.our_rows * o.T, folder)
        self.gguf = o.gguf or llama_peer.convert(o.llama_cpp, model, o.dtype, folder)
        self.data = ["--data", self.text, "--mask", "regular", "--bos", "none", "--eos", "none"]

    def run(self):
        o = self.o
        return llama_peer.score(o.llama_perplexity, self.gguf, self.text, o.T, o.our_rows, o.threads)

    def evalmask_scoring(self):
        return evalmask(self.o, self.model, self.o.our_rows, self.data)[1]

    def evalmask_loss(self):
        with tempfile.TemporaryDirectory() as folder:
            tokens = os.path.join(folder, "t.jsonl")
            evalmask(self.o, self.model, self.o.our_rows, self.data + ["--tokens", tokens])
            return llama_peer.second_half(tokens, self.o.T)


# ---- together ----

WHOLE, LLAMA = "evalmask, start to exit", "llama-perplexity"
SAME, LLAMA_WHOLE = "evalmask, on its text, regular mask", "llama-perplexity, start to exit"


def measure(o, model, folder):
    """Rates by side, and the losses of those sides that must agree, by pair."""
    ids, documents = stream(o, model)
    sides = [(f"transformers, {a}", HuggingFace(o, model, a)) for a in o.sides]
    llama = LlamaPerplexity(o, model, folder) if o.llama_perplexity else None
    names = ["evalmask", WHOLE] + [name for name, _ in sides] + ([SAME, LLAMA, LLAMA_WHOLE] if llama else [])
    rates, losses, peak, ours = {name: [] for name in names}, {}, 0, ["--data", o.data, "--mask", o.mask]
    losses["evalmask"] = evalmask(o, model, o.rows, ours)[2]       # of the rows that all have
    if llama:
        losses[SAME] = llama.evalmask_loss()

    def note(name, rows, seconds):
        rates[name].append(rows * o.T / seconds)

    for _ in range(o.repeat):
        seconds, scoring, _, peak = evalmask(o, model, o.our_rows, ours)
        note("evalmask", o.our_rows, scoring)
        note(WHOLE, o.our_rows, seconds)
        for name, side in sides:
            seconds, losses[name] = side.run(ids, documents)
            note(name, o.rows, seconds)
        if llama:
            scoring, seconds, losses[LLAMA] = llama.run()
            note(LLAMA, o.our_rows, scoring)
            note(LLAMA_WHOLE, o.our_rows, seconds)
            note(SAME, o.our_rows, llama.evalmask_scoring())
    return rates, losses, peak


def ratio(rates, name, other):
    """A ratio is of neighbours in time: the machine may be busier in one round than in the next."""
    return statistics.median(a / b for a, b in zip(rates[name], rates[other]))


def table(rates, losses):
    print("| | tokens/s | least | most | evalmask is | loss |\n|---|---:|---:|---:|---:|---:|")
    for name, r in rates.items():
        print(f"| {name} | {statistics.median(r):.0f} | {min(r):.0f} | {max(r):.0f} | {ratio(rates, 'evalmask', name):.2f} x | "
              f"{f'{losses[name]:.5f}' if name in losses else ''} |")
    if LLAMA in rates:
        print(f"\nOn llama-perplexity's text with its mask, evalmask is {ratio(rates, SAME, LLAMA):.2f} x; their two losses are of the "
              "second half of each row.")


def check_losses(o, losses):
    for name, loss in losses.items():
        off = abs(loss - losses[SAME if name in (SAME, LLAMA) else "evalmask"])
        if off > (1e-4 if o.dtype == "f32" else 2e-2):
            sys.exit(f"{name}: the losses differ by {off:.2g}: this is not the same work")


def main():
    o = options()
    torch.set_num_threads(o.threads)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        model = o.model or make_model(o, os.path.join(folder, "model"))
        rates, losses, peak = measure(o, model, folder)
    print(f"{o.model or o.shape}, T = {o.T}, B = {o.B}, mask {o.mask}, {o.dtype}, {o.threads} threads, {o.rows} rows "
          f"(evalmask: {o.our_rows}), median of {o.repeat} rounds; evalmask's peak memory {peak / 2**20:.0f} MiB.\n")
    table(rates, losses)
    check_losses(o, losses)


if __name__ == "__main__":
    main()

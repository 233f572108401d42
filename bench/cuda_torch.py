#!/usr/bin/env python3
"""evalmask on a CUDA device beside PyTorch on it, as the published experiments did it, as Markdown.

    python3 bench/cuda_torch.py -T 1024                      # Llama-3.1-8B's shape, bf16, document mask; wanted: 1.5 x
    python3 bench/cuda_torch.py -T 8192 -B 1 --rows 32       # wanted: 3 x, and less memory
    python3 bench/cuda_torch.py --device cpu --shape tiny-llama -T 128 --rows 400 --repeat 1     # does the script work?

The PyTorch side is transformers' LlamaForCausalLM with sdpa or, where transformers is not installed, the same network written
out below: a dense additive mask [B, 1, T, T], logits of all positions over the whole vocabulary in f32, cross-entropy. Both
sides see the same weights (a random checkpoint by `evalmask bench --keep-model`), token ids, masks and positions, and their
losses must agree. Documents have lengths as in the Pile. PyTorch is timed inside its loop over batches, weights and tokens
on the device, after a batch that warms up; evalmask as a run over all rows less a run over one row, which leaves out its start
and its weights' way to the device. The sides take turns. Memory is what each side's own allocator had on the device at most.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
import torch.nn.functional as F

from dense import mask_and_positions

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKENIZER = os.path.join(ROOT, "data/base.bin")
# Middles of 16 equal shares of the Pile's documents, in tokens: every other one of eval/bench/bench_text.c.
LENGTHS = (78, 133, 186, 244, 307, 379, 462, 560, 679, 827, 1018, 1279, 1663, 2311, 3756, 12871)


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--evalmask", default=os.path.join(ROOT, "build/cuda/evalmask"))
    p.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    p.add_argument("--shape", default="llama-8b", help="as of evalmask bench (default %(default)s)")
    p.add_argument("-T", type=int, default=1024)
    p.add_argument("-B", type=int, default=3)
    p.add_argument("--mask", default="doc", choices=("doc", "regular"))
    p.add_argument("--dtype", default="bf16", choices=("bf16", "f32"))
    p.add_argument("--rows", type=int, default=240)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--keep-model", metavar="FILE", help="of evalmask bench --keep-model: written if it is not there")
    p.add_argument("--plain", action="store_true", help="the network below even where transformers is installed")
    return p.parse_args()


# ---- model, documents, tokens ----

def call(o, *arguments, **more):
    return subprocess.run([o.evalmask, *map(str, arguments)], check=True, stdout=subprocess.PIPE, **more).stdout


def read_checkpoint(path):
    """Its config and its tensors, views of the mapped file. evalmask's own reader of safetensors lets tensors share bytes."""
    data = numpy.memmap(path, dtype=numpy.uint8, mode="c")
    size = int.from_bytes(data[:8].tobytes(), "little")
    entries = json.loads(data[8:8 + size].tobytes())
    entries.pop("__metadata__", None)
    tensors = {}
    for name, e in entries.items():
        begin, end = (8 + size + x for x in e["data_offsets"])
        tensors[name] = data[begin:end]
        if e["dtype"] == "BF16":
            tensors[name] = torch.from_numpy(tensors[name].view(numpy.int16)).view(torch.bfloat16).view(e["shape"])
    return json.loads(tensors.pop("file:config.json").tobytes()), tensors


def write_documents(o, path):
    """Pieces of the bundled sample's text, cut to some four letters a token."""
    lines = subprocess.run(["zstdcat", os.path.join(ROOT, "data/sample.jsonl.zst")], capture_output=True, check=True).stdout.splitlines()
    text = " ".join(json.loads(line)["text"] for line in lines)
    at = tokens = k = 0
    with open(path, "w", encoding="utf-8") as f:
        while tokens < 2 * o.rows * o.T:
            n = LENGTHS[int((k + 1) * 0.6180339887498949 * len(LENGTHS)) % len(LENGTHS)]
            f.write(json.dumps({"text": (text[at:] + text)[:4 * n]}) + "\n")
            at, tokens, k = (at + 4 * n) % len(text), tokens + n, k + 1


def read_rows(o, documents, eos):
    """[rows, T] token ids and document numbers, as evalmask packs them: each document's tokens, then EOS."""
    ids, numbers = [], []
    for number, line in enumerate(call(o, "tokenize", "--tokenizer", TOKENIZER, documents).splitlines()):
        tokens = json.loads(line)["ids"] + [eos]
        ids += tokens
        numbers += [number] * len(tokens)
        if len(ids) >= o.rows * o.T:
            break
    if len(ids) < o.rows * o.T:
        sys.exit(f"{documents}: too few tokens")
    return [torch.tensor(x[:o.rows * o.T], device=o.device).view(o.rows, o.T) for x in (ids, numbers)]


# ---- PyTorch ----

class Llama(torch.nn.Module):
    """The network written out; weights under their names in the checkpoint."""

    def __init__(self, config, weights):
        super().__init__()
        self.config, self.weights = config, weights

    def norm(self, x, name):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return self.weights[name + ".weight"] * y.to(x.dtype)

    def linear(self, x, name):
        return F.linear(x, self.weights[name + ".weight"])

    def attention(self, x, name, mask, cosine, sine):
        heads, kv, d = (self.config[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        q, k, v = (self.linear(x, f"{name}.{p}_proj").view(*x.shape[:2], n, d).transpose(1, 2) for p, n in (("q", heads), ("k", kv), ("v", kv)))
        turn = lambda z: z * cosine + torch.cat((-z[..., d // 2:], z[..., :d // 2]), -1) * sine
        k, v = (z.repeat_interleave(heads // kv, 1) for z in (turn(k), v))
        y = F.scaled_dot_product_attention(turn(q), k, v, attn_mask=mask)
        return self.linear(y.transpose(1, 2).flatten(2), f"{name}.o_proj")

    def forward(self, ids, mask, positions):
        d = self.config["head_dim"]
        x = F.embedding(ids, self.weights["model.embed_tokens.weight"])
        frequency = self.config["rope_theta"] ** (-torch.arange(0, d, 2, device=ids.device).float() / d)
        angle = (positions[:, None, :, None].float() * frequency).repeat(1, 1, 1, 2)
        cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        for i in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{i}"
            x = x + self.attention(self.norm(x, f"{layer}.input_layernorm"), f"{layer}.self_attn", mask, cosine, sine)
            y = self.norm(x, f"{layer}.post_attention_layernorm")
            y = F.silu(self.linear(y, f"{layer}.mlp.gate_proj")) * self.linear(y, f"{layer}.mlp.up_proj")
            x = x + self.linear(y, f"{layer}.mlp.down_proj")
        x = self.norm(x, "model.norm")
        return self.linear(x, "model.embed_tokens" if self.config["tie_word_embeddings"] else "lm_head")


def open_network(o, config, tensors):
    """Its name, and f(ids, mask, positions) that gives logits."""
    dtype = torch.bfloat16 if o.dtype == "bf16" else torch.float32
    try:
        if o.plain:
            raise ImportError
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        network = Llama(config, {name: t.to(o.device, dtype) for name, t in tensors.items()})
        return "PyTorch, sdpa", network
    torch.set_default_dtype(dtype)
    with torch.device(o.device):
        network = LlamaForCausalLM._from_config(LlamaConfig(**config), attn_implementation="sdpa").eval()
    torch.set_default_dtype(torch.float32)
    network.load_state_dict(tensors, strict=not config["tie_word_embeddings"])
    return "transformers, sdpa", lambda ids, mask, positions: network(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits


def wait(o):
    if o.device == "cuda":
        torch.cuda.synchronize()


@torch.no_grad()
def torch_round(o, network, ids, documents, rows):
    """Seconds and the mean loss."""
    dtype = torch.bfloat16 if o.dtype == "bf16" else torch.float32
    wait(o)
    begin, total, count = time.perf_counter(), 0.0, 0
    for row in range(0, rows, o.B):
        x = ids[row:min(row + o.B, rows)]
        logits = network(x, *mask_and_positions(documents[row:row + len(x)], o.mask, dtype)).float()
        total += F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1), reduction="sum").item()
        count += x[:, 1:].numel()
    wait(o)
    seconds = time.perf_counter() - begin
    if o.device == "cuda":
        torch.cuda.empty_cache()        # evalmask's next round finds the device but for PyTorch's weights
    return seconds, total / count


# ---- evalmask ----

def evalmask_round(o, model, documents, rows):
    """Seconds of the run by its own clock, the mean loss, peak bytes of the device (on the CPU: of the process)."""
    with tempfile.TemporaryDirectory() as folder:
        out, profile = os.path.join(folder, "r.json"), os.path.join(folder, "p.json")
        call(o, "--model", model, "--tokenizer", TOKENIZER, "--data", documents, "-T", o.T, "-B", o.B, "--mask", o.mask,
             "--device", o.device, "--dtype", o.dtype, "--max-tokens", rows * o.T, "-q", "-o", out, "--profile", profile)
        with open(out, encoding="utf-8") as f, open(profile, encoding="utf-8") as p:
            cost = json.load(p)
            return cost["seconds"], json.load(f)["results"][0]["loss"], cost["peak_device_bytes"] or cost["peak_memory_bytes"]


# ---- together ----

def measure(o, model, folder):
    documents = os.path.join(folder, "documents.jsonl")
    write_documents(o, documents)
    config, tensors = read_checkpoint(model)
    ids, numbers = read_rows(o, documents, config["eos_token_id"])
    rates, seconds = {"evalmask": []}, []
    for _ in range(o.repeat):       # one process at a time has the device: PyTorch opens after evalmask's first round
        short, all_rows = evalmask_round(o, model, documents, 1)[0], evalmask_round(o, model, documents, o.rows)
        if all_rows[0] < 1.5 * short:
            sys.exit(f"{o.rows} rows take {all_rows[0]:.2f} s and one {short:.2f} s: too few rows for a rate, raise --rows")
        rates["evalmask"].append((o.rows - 1) * o.T / (all_rows[0] - short))
        if not seconds:
            name, network = open_network(o, config, tensors)
            torch_round(o, network, ids, numbers, o.B)
        seconds.append(torch_round(o, network, ids, numbers, o.rows))
        rates.setdefault(name, []).append(o.rows * o.T / seconds[-1][0])
    peak = torch.cuda.max_memory_allocated() if o.device == "cuda" else 0
    return rates, {"evalmask": all_rows[1], name: seconds[-1][1]}, {"evalmask": all_rows[2], name: peak}


def report(o, rates, losses, peaks):
    where = torch.cuda.get_device_name() if o.device == "cuda" else "CPU"
    print(f"{o.shape}, T = {o.T}, B = {o.B}, mask {o.mask}, {o.dtype}, {o.rows} rows, {where}, PyTorch {torch.__version__}; "
          f"median of {o.repeat} rounds.\n")
    print("| | tokens/s | least | most | evalmask is | peak MiB | loss |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, r in rates.items():
        ratio = statistics.median(a / b for a, b in zip(rates["evalmask"], r))
        print(f"| {name} | {statistics.median(r):.0f} | {min(r):.0f} | {max(r):.0f} | {ratio:.2f} x | "
              f"{f'{peaks[name] / 2**20:.0f}' if peaks[name] else ''} | {losses[name]:.5f} |")
    a, b = losses.values()
    if abs(a - b) > (1e-4 if o.dtype == "f32" else 2e-2):
        sys.exit(f"the losses differ by {abs(a - b):.2g}: this is not the same work")


def main():
    o = options()
    if o.rows < 2:
        sys.exit("--rows: at least 2, because evalmask's rate is of all rows but one")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        model = o.keep_model or os.path.join(folder, "model.bin")
        if not os.path.exists(model):
            call(o, "bench", "--shape", o.shape, "--device", o.device, "--rows", 1, "-T", 128, "--repeat", 1, "-q", "--keep-model", model)
        rates, losses, peaks = measure(o, model, folder)
    report(o, rates, losses, peaks)


if __name__ == "__main__":
    main()

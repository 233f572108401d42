"""Makes the rows of this folder, as packers in use make them. Needs torch and transformers (4.57 or 5):

    python3 make.py

Documents are made of letters: token 10 + k is the k-th letter of a document's alphabet, EOS is 2, PAD is 0."""
import json
import os
import random

import torch
from transformers import (DataCollatorForLanguageModeling, DataCollatorWithFlattening, PreTrainedTokenizerFast)
from tokenizers import Tokenizer, models

EOS, PAD, IGNORED = 2, 0, -100
HERE = os.path.dirname(os.path.abspath(__file__))


def documents(n, low, high, seed):
    draw = random.Random(seed)
    return [[draw.randrange(10, 200) for _ in range(draw.randrange(low, high))] for _ in range(n)]


def write(name, rows):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, separators=(",", ":")) + "\n")


def lengths(row):
    """Of a row's documents, told by EOS; the last may be cut."""
    ends = [i + 1 for i, t in enumerate(row) if t == EOS and i + 1 < len(row)]
    return [b - a for a, b in zip([0, *ends], [*ends, len(row)])]


def restart(sizes):
    return [i for n in sizes for i in range(n)]


def stream(docs, T):
    """Every document with its EOS one after another, cut into full rows (the usual pretraining loop)."""
    tokens = [t for d in docs for t in [*d, EOS]]
    return [tokens[i:i + T] for i in range(0, len(tokens) - T + 1, T)]


def cumulated(sizes):
    return [sum(sizes[:i]) for i in range(len(sizes) + 1)]


def block_mask(sizes):
    """0 and 1, [T][T]: causal within each block."""
    return torch.block_diag(*[torch.ones(n, n).tril() for n in sizes]).int().tolist()


def first_fit(sizes, T):
    """Best-fit decreasing as in trl's pack_dataset(strategy="bfd"): indices of documents by row."""
    bins = []
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        room = [b for b in bins if sum(sizes[j] for j in b) + sizes[i] <= T]
        best = max(room, key=lambda b: sum(sizes[j] for j in b), default=None)
        bins.append([i]) if best is None else best.append(i)
    return bins


def tokenizer():
    """With pad_token = eos_token, as many scripts set it."""
    words = {str(i): i for i in range(200)}
    fast = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="1")), eos_token="2")
    fast.pad_token = fast.eos_token
    return fast


docs = documents(40, 4, 24, 1)
rows = stream(docs, 32)
write("stream.jsonl", [{"input_ids": r, "labels": r, "position_ids": restart(lengths(r)),
                        "cu_seqlens": cumulated(lengths(r))} for r in rows])
write("bare.jsonl", [{"input_ids": r} for r in rows])
write("run-on.jsonl", [{"input_ids": r, "labels": r, "position_ids": list(range(32)), "attention_mask": [1] * 32} for r in rows])
write("shifted.jsonl", [{"input_ids": r, "labels": [*r[1:], n[0]], "position_ids": restart(lengths(r))}
                        for r, n in zip(rows, rows[1:])])
small = stream(documents(12, 3, 9, 2), 16)
write("matrix.jsonl", [{"input_ids": r, "labels": r, "position_ids": restart(lengths(r)),
                        "attention_mask": block_mask(lengths(r))} for r in small])
write("matrix-regular.jsonl", [{"attention_mask": torch.ones(16, 16).tril().bool().tolist(), "input_ids": r,
                                "position_ids": restart(lengths(r))} for r in small])
window = torch.ones(16, 16).tril() - torch.ones(16, 16).tril(-4)
write("matrix-window.jsonl", [{"input_ids": r, "attention_mask": (torch.tensor(block_mask(lengths(r))) * window.int()).tolist()}
                              for r in small])
write("matrix-holes.jsonl", [{"input_ids": r, "attention_mask": [[int(k <= q and (q - k) % 2 == 0) for k in range(16)] for q in range(16)]}
                             for r in small])

# transformers: what the Trainer gets from DataCollatorWithFlattening (padding-free training)
flatten = DataCollatorWithFlattening(return_flash_attn_kwargs=True, return_tensors="pt")
batches = [flatten([{"input_ids": [*d, EOS]} for d in docs[i:i + 5]]) for i in range(0, 20, 5)]
write("flattening.jsonl", [{k: b[k][0].tolist() for k in ("input_ids", "labels", "position_ids")} |
                           {"cu_seq_lens_q": b["cu_seq_lens_q"].tolist(), "max_length_q": int(b["max_length_q"])} for b in batches])

# trl: best-fit decreasing, positions restart; rows filled up with PAD, whose labels are ignored
sizes = [len(d) + 1 for d in docs]
packed = [[t for i in b for t in [*docs[i], EOS]] for b in first_fit(sizes, 32)]
write("best-fit.jsonl", [{"input_ids": r + [PAD] * (32 - len(r)), "labels": r + [IGNORED] * (32 - len(r)),
                          "position_ids": restart(lengths(r)) + [0] * (32 - len(r)),
                          "attention_mask": [1] * len(r) + [0] * (32 - len(r))} for r in packed])
# documents' numbers in attention_mask, 0 for padding
write("numbers.jsonl", [{"input_ids": r + [PAD] * (32 - len(r)),
                         "attention_mask": [k + 1 for k, n in enumerate(lengths(r)) for _ in range(n)] + [0] * (32 - len(r))}
                        for r in packed])

# 5 documents, filled up to 128 tokens with PAD = EOS: 91 EOS, every one of them with a label
five = next(tokens for seed in range(1000)
            for tokens in [[t for d in documents(5, 5, 11, seed) for t in [*d, EOS]]] if len(tokens) == 42)
row = five + [EOS] * (128 - len(five))
assert row.count(EOS) == 91
write("pad-is-eos.jsonl", [{"input_ids": row, "labels": row}])
# the same through DataCollatorForLanguageModeling, which ignores every label that is PAD, and so every EOS
batch = DataCollatorForLanguageModeling(tokenizer(), mlm=False, pad_to_multiple_of=64)([{"input_ids": five}])
write("eos-ignored.jsonl", [{k: batch[k][0].tolist() for k in ("input_ids", "labels", "attention_mask")}])

# EOS stands between the documents as a segment of its own, in positions and mask
own = []
for group in (docs[0:3], docs[3:6]):
    sizes = [n for d in group for n in (len(d), 1)]
    own.append({"input_ids": [t for d in group for t in [*d, EOS]], "position_ids": restart(sizes),
                "attention_mask": block_mask(sizes)})
write("own-eos.jsonl", own)
# no EOS at all between documents that positions tell apart
write("no-eos.jsonl", [{"input_ids": [t for d in docs[i:i + 3] for t in d],
                        "position_ids": restart([len(d) for d in docs[i:i + 3]])} for i in (0, 3)])

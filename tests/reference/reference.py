"""What evalmask measures, computed slowly from its definitions with torch and transformers.

Writes the golden files that tests/golden/check.py compares a build with:

    python3 tests/reference/reference.py --model HF_DIRECTORY [CASE ...]

Needs torch, transformers and sentencepiece; no test needs it at run time. It shares no code with
the program: tokens come from the sentencepiece package, logits from transformers (f32, eager
attention, dense T x T masks), and the sums below are written from docs/protocol.md.
"""
import argparse
import dataclasses
import json
import math
import os
import shlex
import sys

import numpy as np
import sentencepiece
import torch
import transformers

from cases import CASES

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


# ---- the stream ----

@dataclasses.dataclass(frozen=True)
class Token:
    id: int
    document: int
    place: int      # within the document's tokens
    group: str
    size: int       # bytes of the input text that it covers
    added: bool     # BOS or EOS put there, not text


def text_tokens(processor, text):
    """(id, bytes) of the text's own tokens. Holds for a model with the identity normalizer and a dummy
    prefix: the pieces, with U+2581 as a space, spell the text after one invented space."""
    ids, at, out = processor.encode(text), 0, []
    source = (" " + text).encode()
    for index, i in enumerate(ids):
        piece = processor.id_to_piece(i)
        spelt = bytes([int(piece[3:5], 16)]) if processor.is_byte(i) else piece.replace("\u2581", " ").encode()
        if source[at:at + len(spelt)] != spelt:
            raise SystemExit(f"piece {piece!r} is not what stands at byte {at} of {text[:40]!r}")
        at += len(spelt)
        out.append((i, len(spelt) - (index == 0)))
    if out and at != len(source):
        raise SystemExit(f"{text[:40]!r}: pieces end at byte {at} of {len(source)}")
    return out


def special(processor, name, default):
    if name == "auto":
        return default
    if name == "none":
        return -1
    return int(name) if name.isdigit() else processor.piece_to_id(name)


def read_documents(processor, o):
    bos, eos = special(processor, o.bos, processor.bos_id()), special(processor, o.eos, processor.eos_id())
    documents, size = [], 0
    with open(os.path.join(TESTS, "golden", o.data), encoding="utf-8") as f:
        for line in f:
            record = json.loads(line)
            group = record.get("meta", {}).get("pile_set_name", "")
            if o.subset and group not in o.subset:
                continue
            if o.max_docs and len(documents) == o.max_docs:
                break
            parts = [(i, n, False) for i, n in text_tokens(processor, record["text"])]
            parts = [(bos, 0, True)] * (bos >= 0) + parts + [(eos, 0, True)] * (eos >= 0)
            documents.append([Token(i, len(documents), place, group, n, added)
                              for place, (i, n, added) in enumerate(parts)])
            size += len(record["text"].encode())
    return documents, size


def cut(documents, max_tokens):
    left, out = max_tokens or math.inf, []
    for d in documents:
        d = d[:int(min(left, len(d)))]
        left -= len(d)
        if d:
            out.append(d)
    return out


def windows(tokens, T, stride):
    """Windows of up to T + 1 tokens, the row is the first T of each, until a row holds the last token."""
    starts = range(0, max(len(tokens) - T, 0) + stride, stride)
    return [tokens[start:start + T + 1] for start in starts]


def rows_of(documents, o):
    if o.pack == "none":
        return [w for d in documents for w in windows(d, o.T, o.stride or o.T)]
    return windows([t for d in documents for t in d], o.T, o.stride or o.T)


# ---- labels: who shifts ----

SCHEMES = {"unshifted": (False, True), "shifted": (True, True), "raw-shifted": (True, False),
           "raw-unshifted": (False, False)}
OFFSETS = {"unshifted": 1, "shifted": 2, "raw-shifted": 1, "raw-unshifted": 0, "backward": -1}


def read_row(scheme, window, o):
    """(inputs, [(position, label's index in the window)], complete)"""
    row = window[:o.T]
    if scheme == "backward":
        return row, [(i, i - 1) for i in range(1, len(row))], len(row) == o.T
    caller, library = SCHEMES[scheme]
    if not caller:
        inputs, labels, complete = row, list(range(len(row))), len(row) == o.T
    elif o.window == "next":
        inputs, labels, complete = window[:-1], list(range(1, len(window))), len(window) == o.T + 1
    else:
        inputs, labels, complete = row[:-1], list(range(1, len(row))), len(row) == o.T
    if library:     # position i is scored on labels[i + 1]
        pairs = [(i, labels[i + 1]) for i in range(len(inputs) - 1)]
    else:
        pairs = [(i, labels[i]) for i in range(len(inputs))]
    return inputs, pairs, complete or o.pack == "none"


# ---- masks, as dense matrices: visible[query, key] ----

def dense_mask(name, inputs):
    n = len(inputs)
    kind, _, number = name.partition(":")
    number = int(number) if number else None
    document = np.array([t.document for t in inputs])
    same = document[:, None] == document[None, :]
    q, k = np.arange(n)[:, None], np.arange(n)[None, :]
    if kind.startswith("doc"):
        inner = {"doc": "regular", "doc-full": "full", "doc-window": "window", "doc-prefix": "prefix",
                 "doc-backward": "backward"}[kind]
    else:
        inner, same = kind, np.ones((n, n), bool)
    start = same.argmax(axis=1)[:, None]    # of the query's document, or of the row
    if inner == "regular":
        visible = k <= q
    elif inner == "full":
        visible = np.ones((n, n), bool)
    elif inner == "window":
        visible = (k <= q) & (k > q - number)
    elif inner == "backward":
        visible = k >= q
    elif inner == "prefix":
        visible = (k <= q) | (k < start + number)
    elif inner == "flip0":      # tril of M x M, flipped upside down, sliced to the row
        m = number or n
        visible = np.tril(np.ones((m, m), bool))[::-1][:n, :n]
    else:
        raise SystemExit(f"mask {name}?")
    return visible & same


def crosses_documents(name):
    return not name.startswith("doc")


def position_ids(inputs, reset):
    if not reset:
        return list(range(len(inputs)))
    ids = []
    for i, t in enumerate(inputs):
        ids.append(0 if i == 0 or inputs[i - 1].document != t.document else ids[-1] + 1)
    return ids


# ---- the model ----

class Network:
    def __init__(self, directory):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager").eval()
        self.layers = self.model.config.num_hidden_layers
        self.cache = {}

    @torch.no_grad()
    def logits(self, inputs, mask, reset):
        """[n, V] in f64, from f32 arithmetic."""
        key = (tuple((t.id, t.document) for t in inputs), mask, reset)
        if key not in self.cache:
            visible = torch.from_numpy(dense_mask(mask, inputs).copy())
            bias = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
            out = self.model(input_ids=torch.tensor([[t.id for t in inputs]]), attention_mask=bias[None, None],
                             position_ids=torch.tensor([position_ids(inputs, reset)]), use_cache=False)
            self.cache[key] = out.logits[0].double()
        return self.cache[key]


def leak_class(mask, inputs, pairs, layers):
    """Per pair: 0 clean, 1 direct, 2 through several layers. Reach is {i} and the mask, composed."""
    once = dense_mask(mask, inputs) | np.eye(len(inputs), dtype=bool)
    reach = once
    for _ in range(layers - 1):
        reach = (reach.astype(np.float32) @ once.astype(np.float32)) > 0
    sees = lambda m, i, label: label < len(inputs) and m[i, label]
    return [1 if sees(once, i, j) else 2 if sees(reach, i, j) else 0 for i, j in pairs]


# ---- predictions and their sums ----

@dataclasses.dataclass
class Prediction:
    row: int
    batch: int
    position: int
    token: Token
    label: Token
    nll: float
    correct: bool
    near_tie: bool      # the best two logits are so close that rounding decides
    leak: int

    @property
    def boundary(self):
        return self.token.document != self.label.document


def scored(pairs, window, seen, o):
    """Those that --score lets count, of tokens that no earlier row has scored; seen: the tokens whose prediction has been."""
    new = [(i, j) for i, j in pairs if (window[i].document, window[i].place) not in seen]
    seen |= {(window[i].document, window[i].place) for i, _ in pairs}
    if o.score == "half":
        return [(i, j) for i, j in new if i >= o.T // 2]
    if o.score.startswith("last:"):
        end = max((i for i, _ in pairs), default=0) + 1
        return [(i, j) for i, j in new if i >= end - int(o.score[5:])]
    return new


def predictions_of(network, rows, mask, scheme, reset, o):
    kept, out, seen = [], [], set()
    for index, window in enumerate(rows):
        inputs, pairs, complete = read_row(scheme, window, o)
        pairs = scored(pairs, window, seen, o)
        if inputs:
            kept.append((index, window, inputs, pairs, complete))
    batches = [kept[i:i + o.B] for i in range(0, len(kept), o.B)]
    if o.tail == "drop":
        batches = [b for b in batches if sum(complete for *_, complete in b) == o.B]
    for number, batch in enumerate(batches):
        for index, window, inputs, pairs, _ in batch:
            logits = network.logits(inputs, mask, reset)
            total = torch.logsumexp(logits, 1)
            best, best_ids = logits.topk(2, 1)
            leaks = leak_class(mask, inputs, pairs, network.layers)
            for (i, j), leak in zip(pairs, leaks):
                p = Prediction(index, number, i, window[i], window[j], float(total[i] - logits[i, window[j].id]),
                               int(best_ids[i, 0]) == window[j].id,
                               float(best[i, 0] - best[i, 1]) < 1e-3 and window[j].id in best_ids[i].tolist(), leak)
                if o.boundary == "keep" or not p.boundary:
                    out.append(p)
    return out, sum(map(len, batches))


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def loss_of(predictions):
    return mean(p.nll for p in predictions)


def groups_of(predictions, key):
    groups = {}
    for p in predictions:
        groups.setdefault(key(p), []).append(p)
    return groups


def bits_per_byte(predictions, all_of_them):
    size = sum(p.label.size for p in predictions if not p.label.added)
    nll = math.fsum(p.nll for p in predictions if all_of_them or not p.label.added)
    return nll / math.log(2) / size if size else None


def standard_error(predictions, by_row):
    groups = groups_of(predictions, (lambda p: p.row) if by_row else (lambda p: p.label.document)).values()
    g, overall = len(groups), loss_of(predictions)
    if g < 2:
        return None, g
    squares = math.fsum((math.fsum(p.nll for p in x) - overall * len(x)) ** 2 for x in groups)
    return math.sqrt(g / (g - 1) * squares) / len(predictions), g


def part(predictions):
    return {"predictions": len(predictions), "loss": loss_of(predictions), "top1_count": sum(p.correct for p in predictions),
            "bits_per_byte": bits_per_byte(predictions, False)}


def by_position(predictions):
    """0, 1, 2-3, 4-7, ... of the label within its document's tokens."""
    buckets = groups_of(predictions, lambda p: p.label.place.bit_length())
    return [{"from": 1 << b >> 1, "to": 1 << b, **part(buckets[b])} for b in sorted(buckets)]


def by_subset(predictions):
    groups = groups_of(predictions, lambda p: p.label.group)
    return [{"subset": name, "documents": len({p.label.document for p in groups[name]}), **part(groups[name])}
            for name in sorted(groups, key=str.encode)]


def result_of(network, rows, mask, scheme, positions, o):
    reset = positions == "reset" or positions == "auto" and mask.startswith("doc")
    ps, n_rows = predictions_of(network, rows, mask, scheme, reset, o)
    overall = loss_of(ps)
    error, groups = standard_error(ps, crosses_documents(mask) and o.pack == "stream")
    documents = groups_of(ps, lambda p: p.label.document)
    batches = groups_of(ps, lambda p: p.batch)
    out = {"mask": mask, "labels": scheme, "positions": "reset" if reset else "continuous", "offset": OFFSETS[scheme],
           "seq_len": o.T, "batch": o.B, "predictions": len(ps), "boundary_predictions": sum(p.boundary for p in ps),
           "documents": len(documents), "rows": n_rows, "batches": len(batches), "loss": overall,
           "loss_batch_mean": mean(map(loss_of, batches.values())), "loss_doc_mean": mean(map(loss_of, documents.values())),
           "loss_no_boundary": loss_of([p for p in ps if not p.boundary]),
           "perplexity": None if overall is None else math.exp(overall), "bits_per_byte": bits_per_byte(ps, False),
           "bits_per_byte_all": bits_per_byte(ps, True), "stderr": error, "groups": groups,
           "top1_count": sum(p.correct for p in ps), "near_ties": sum(p.near_tie for p in ps),
           "leak": any(p.leak for p in ps)}
    if out["leak"]:
        out["leaks"] = {name: part([p for p in ps if p.leak == c]) for c, name in enumerate(("clean", "direct", "indirect"))}
    if o.parts:
        out["subsets"], out["by_position"] = by_subset(ps), by_position(ps)
    if o.nll_row is not None:
        out["nll"] = [[p.row, p.position, p.label.document, p.token.id, p.label.id, p.nll]
                      for p in ps if p.row == o.nll_row]
    return out


# ---- cases ----

def options(arguments, extra):
    a = argparse.ArgumentParser()
    a.add_argument("--data", default="mixed.jsonl")
    a.add_argument("--mask", default="doc")
    a.add_argument("--labels", default="unshifted")
    a.add_argument("--positions", default="auto")
    a.add_argument("-T", type=int, default=1024)
    a.add_argument("-B", type=int, default=8)
    for name, default in (("window", "next"), ("boundary", "keep"), ("tail", "pad"), ("pack", "stream"), ("bos", "auto"),
                          ("eos", "auto")):
        a.add_argument("--" + name, default=default)
    a.add_argument("--stride", type=int, default=0)
    a.add_argument("--score", default="all")
    a.add_argument("--max-docs", type=int, default=0)
    a.add_argument("--max-tokens", type=int, default=0)
    a.add_argument("--subset", action="append")
    a.set_defaults(**{"parts": False, "nll_row": None, **extra})
    return a.parse_args(shlex.split(arguments))


def run_case(name, case, processor, network):
    o = options(case["args"], {k: v for k, v in case.items() if k != "args"})
    documents, size = read_documents(processor, o)
    documents = cut(documents, o.max_tokens)
    rows = rows_of(documents, o)
    tokens = sum(map(len, documents))
    data = {"documents": len(documents), "tokens": tokens, "rows": len(rows)}
    if not o.max_tokens:
        data["bytes"] = size
    results = [result_of(network, rows, mask, scheme, positions, o) for mask in o.mask.split(",")
               for scheme in o.labels.split(",") for positions in o.positions.split(",")]
    with open(os.path.join(TESTS, "golden", name + ".json"), "w", encoding="utf-8") as f:
        f.write(json.dumps({"args": case["args"], "data_file": o.data, "data": data}, ensure_ascii=False)[:-1])
        f.write(',\n"results": [\n' + ",\n".join(json.dumps(r, ensure_ascii=False) for r in results) + "\n]}\n")
    print(f"{name}: {len(results)} results, {tokens} tokens", file=sys.stderr)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", required=True)
    a.add_argument("case", nargs="*")
    o = a.parse_args()
    torch.set_num_threads(1)
    processor = sentencepiece.SentencePieceProcessor(os.path.join(o.model, "tokenizer.model"))
    network = Network(o.model)
    for name in o.case or CASES:
        run_case(name, CASES[name], processor, network)


if __name__ == "__main__":
    main()

"""GGUF files: losses against transformers on what gguf-py unpacks, tokenizers, and damaged files."""
import json
import os
import struct
import unittest

import cli

FILES = os.path.join(cli.ROOT, "tests", "model", "gguf")
U32, I32, F32, BOOL, TEXT, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
Q8_0, Q4_K, IQ2_XS = 8, 12, 17


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def value(kind, x):
    if kind == TEXT:
        return text(x)
    if kind == ARRAY:
        inner, items = x
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, item) for item in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q"}[kind], x)


def gguf(keys, tensors, version=3, counts=None, alignment=32):
    """The bytes of a file: keys {name: (type, value)}, tensors {name: (type id, dims slowest first, bytes)}."""
    out = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(tensors), len(keys))))
    for name, (kind, x) in keys.items():
        out += text(name) + struct.pack("<I", kind) + value(kind, x)
    at, data = 0, b""
    for name, (kind, dims, blob) in tensors.items():
        out += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *reversed(dims))
        out += struct.pack("<IQ", kind, at)
        data += blob.ljust((len(blob) + alignment - 1) // alignment * alignment, b"\0")
        at = len(data)
    return out.ljust((len(out) + alignment - 1) // alignment * alignment, b"\0") + data


def small(layers=1, d=32, vocab=8, heads=2, ffn=32, **more):
    """A random-free Llama of one layer: keys and tensors."""
    keys = {"general.architecture": (TEXT, "llama"), "llama.block_count": (U32, layers),
            "llama.context_length": (U32, 64), "llama.embedding_length": (U32, d),
            "llama.feed_forward_length": (U32, ffn), "llama.attention.head_count": (U32, heads),
            "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5)}
    keys.update(more)

    def matrix(rows, columns):
        return 0, [rows, columns], struct.pack(f"<{rows * columns}f", *((i * 37 % 101 - 50) / 200 for i in range(rows * columns)))

    def vector(n):
        return 0, [n], struct.pack(f"<{n}f", *([1.0] * n))
    tensors = {"token_embd.weight": matrix(vocab, d), "output_norm.weight": vector(d)}
    for i in range(layers):
        tensors.update({f"blk.{i}.attn_norm.weight": vector(d), f"blk.{i}.ffn_norm.weight": vector(d),
                        f"blk.{i}.attn_q.weight": matrix(d, d), f"blk.{i}.attn_k.weight": matrix(d, d),
                        f"blk.{i}.attn_v.weight": matrix(d, d), f"blk.{i}.attn_output.weight": matrix(d, d),
                        f"blk.{i}.ffn_gate.weight": matrix(ffn, d), f"blk.{i}.ffn_up.weight": matrix(ffn, d),
                        f"blk.{i}.ffn_down.weight": matrix(d, ffn)})
    return keys, tensors


class Gguf(cli.Case):
    def convert(self, content, status=0, name="m.gguf"):
        return self.run_program("convert", self.write(name, content), self.path("out.bin"), status=status)

    def refused(self, content, *words):
        err = self.convert(content, status=3).err
        self.assert_one_line(err)
        for word in words:
            self.assertIn(word, err)

    def test_losses(self):
        with open(FILES + "/golden.json", encoding="utf-8") as f:
            golden = json.load(f)
        tokens = golden["T"] * golden["B"] * golden["batches"]
        for name, expected in golden["files"].items():
            out = self.path("r.json")
            run = self.run_program("--model", f"{FILES}/{name}", "--data", FILES + "/docs.jsonl", "-T", golden["T"],
                                   "-B", golden["B"], "--max-tokens", tokens, "--mask", "regular,doc", "-o", out,
                                   "--tokens", self.path("t.jsonl"))
            with open(out, encoding="utf-8") as f:
                got = {r["mask"]: r for r in json.load(f)["results"]}
            for want in expected["results"]:
                r = got[want["mask"]]
                self.assertEqual(r["predictions"], want["predictions"], name)
                self.assertLess(abs(r["loss"] / want["loss"] - 1), 1e-5, (name, want["mask"]))
                self.assertEqual(r["top1"], want["top1"], name)
            first = [r["nll"] for r in cli.records(self.path("t.jsonl"))[:8]]
            for line, want in zip(first, expected["results"][0]["first_row_nll"]):
                self.assertLess(abs(next(x for key, x in line.items() if "regular" in key) - want), 2e-4, name)
            types = sorted(expected["tensors"])
            for kind in types:
                self.assertIn(kind + " ", run.out, name)

    def test_convert_unpacks(self):
        for name in "mistral.Q4_1.gguf", "gpt2.Q8_0.gguf", "llama3-rope.Q8_0.gguf", "gpt_neox.Q8_0.gguf", "gemma3.Q8_0.gguf":
            source = f"{FILES}/{name}"
            self.run_program("convert", source, self.path("whole.bin"))
            common = "--data", FILES + "/docs.jsonl", "-T", "128", "--max-tokens", "512", "-q"
            figures = []
            for model in source, self.path("whole.bin"):
                out = self.path("r.json")
                self.run_program("--model", model, *common, "-o", out)
                with open(out, encoding="utf-8") as f:
                    figures.append([{k: r[k] for k in ("loss", "top1", "by_position")} for r in json.load(f)["results"]])
            self.assertEqual(figures[0], figures[1], name)

    def test_shards(self):
        keys, tensors = small(layers=2)
        whole = self.convert(gguf(keys, tensors)).out
        names = list(tensors)
        parts = [{n: tensors[n] for n in names[i::3]} for i in range(3)]
        for i, part in enumerate(parts):
            split = {"split.count": (U32, 3), "split.no": (U32, i)}
            self.write(f"m-0000{i + 1}-of-00003.gguf", gguf({**(keys if i == 0 else {}), **split}, part))
        run = self.run_program("convert", self.path("m-00001-of-00003.gguf"), self.path("out.bin"))
        self.assertEqual(run.out.split("model fingerprint ")[1], whole.split("model fingerprint ")[1])
        err = self.run_program("convert", self.path("m-00002-of-00003.gguf"), self.path("o.bin"), status=3).err
        self.assertIn("shard 2 of 3; give the first one", err)
        os.remove(self.path("m-00003-of-00003.gguf"))
        err = self.run_program("convert", self.path("m-00001-of-00003.gguf"), self.path("o.bin"), status=3).err
        self.assertIn("m-00003-of-00003.gguf", err)

    def test_versions(self):
        keys, tensors = small()
        self.convert(gguf(keys, tensors, version=2))
        self.refused(gguf(keys, tensors, version=1), "version 1")
        self.refused(gguf(keys, tensors, version=4), "version 4")
        self.refused(gguf(keys, tensors, version=0x03000000), "big-endian")

    def test_cut_off(self):
        content = gguf(*small())
        for n in 8, 23, 24, 40, 200, 500, 900, 1500, len(content) - 4096:
            err = self.convert(content[:n], status=3).err
            self.assertRegex(err, "ends here|file has bytes for|beyond the end")

    def test_counts_beyond_the_file(self):
        keys, tensors = small()
        for counts, words in (((2**63, len(keys)), "more tensors"), ((len(tensors), 2**64 - 1), "more keys")):
            self.refused(gguf(keys, tensors, counts=counts), words)
        whole = gguf(keys, tensors)
        at = whole.index(b"general.architecture") - 8
        self.refused(whole[:at] + struct.pack("<Q", 2**64 - 1) + whole[at + 8:], "the list of keys")
        self.refused(gguf({**keys, "x": (ARRAY, (U32, [1] * 3))}, tensors).replace(struct.pack("<IQ", U32, 3), struct.pack("<IQ", U32, 2**62), 1),
                     "x:", "more values")

    def test_keys(self):
        keys, tensors = small()
        for name, change, *words in [
                ("llama.embedding_length", (TEXT, "32"), "embedding_length", "whole number"),
                ("llama.embedding_length", (U32, 0), "embedding_length", "0"),
                ("llama.block_count", (U32, 3), "layers.1"),
                ("general.architecture", (TEXT, "rwkv7"), "rwkv7", "llama"),
                ("llama.expert_count", (U32, 8), "expert_count", "mixtures"),
                ("llama.attention.head_count", (U32, 5), "head_count"),
                ("llama.attention.head_count_kv", (ARRAY, (U32, [2, 1])), "head_count_kv", "every layer"),
                ("llama.logit_scale", (F32, 2.0), "llama.logit_scale", "not known"),
                ("llama.rope.scaling.type", (TEXT, "longrope"), "rope.scaling.type"),
                ("general.alignment", (U32, 48), "general.alignment", "power of two"),
                ("tokenizer.ggml.tokens", (U32, 1), ""),
        ]:
            if name == "tokenizer.ggml.tokens":
                self.refused(gguf({**keys, "tokenizer.ggml.model": (TEXT, "llama"), name: change}, tensors), name)
            else:
                self.refused(gguf({**keys, name: change}, tensors), *words)

    def test_tensors(self):
        keys, tensors = small()
        q = "blk.0.attn_q.weight"
        for change, *words in [
                ((IQ2_XS, [4, 256], bytes(4 * 74)), "IQ2_XS", "what is read", "Q4_K"),
                ((Q4_K, [32, 32], bytes(32 * 18)), "no whole blocks"),
                ((99, [32, 32], bytes(4096)), q, "type 99"),
                ((4, [32, 32], bytes(4096)), q, "type 4"),
                ((0, [32, 2**40], bytes(4096)), q, "beyond the end"),
                ((0, [2**40, 2**40], bytes(4096)), q, "too large"),
                ((0, [0, 32], b""), q, "dimension"),
                ((0, [16, 64], bytes(4096)), "q_proj", "shape [16, 64]"),
        ]:
            self.refused(gguf(keys, {**tensors, q: change}), *words)
        self.refused(gguf(keys, {**tensors, "blk.0.attn_sinks.weight": tensors["output_norm.weight"]}), "attn_sinks", "no place")
        self.refused(gguf(keys, {k: x for k, x in tensors.items() if k != q}), "q_proj", "missing")

    def test_a_tokenizer_whose_merges_are_lost(self):
        keys, tensors = small()
        pieces = ["<unk>", "<s>", "</s>", "a", "b", "ab", "c", "d"]
        keys.update({"tokenizer.ggml.model": (TEXT, "llama"), "tokenizer.ggml.tokens": (ARRAY, (TEXT, pieces)),
                     "tokenizer.ggml.scores": (ARRAY, (F32, [-1000.0] * 8)),
                     "tokenizer.ggml.token_type": (ARRAY, (I32, [2, 3, 3, 1, 1, 1, 1, 1]))})
        run = self.convert(gguf(keys, tensors))
        self.assertIn("note: ", run.err)
        self.assertIn("merges were lost", run.err)
        self.assertIn("--tokenizer", run.out)

    def test_a_pre_tokenizer_that_is_not_known(self):
        keys, tensors = small()
        keys.update({"tokenizer.ggml.model": (TEXT, "gpt2"), "tokenizer.ggml.pre": (TEXT, "kimi-k2"),
                     "tokenizer.ggml.tokens": (ARRAY, (TEXT, list("abcdefgh"))),
                     "tokenizer.ggml.merges": (ARRAY, (TEXT, ["a b"]))})
        self.assertIn("pre-tokenizer kimi-k2 is not known", self.convert(gguf(keys, tensors)).err)

    def test_not_as_safetensors(self):
        folder = self.path("d")
        os.mkdir(folder)
        self.write("d/model.safetensors", gguf(*small()))
        self.write("d/config.json", "{}")
        self.assertIn("is a GGUF file", self.run_program("convert", folder, self.path("o"), status=3).err)


if __name__ == "__main__":
    unittest.main()

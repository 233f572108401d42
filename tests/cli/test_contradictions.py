"""Checkpoints whose files say different things: what counts, and the note that names both."""
import json
import os
import shutil
import struct
import unittest

import cli

CHECKPOINTS = os.path.join(cli.ROOT, "tests", "model", "checkpoints")
SHARDED = os.path.join(cli.ROOT, "tests", "model", "sharded")


def read_tensors(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}


def safetensors(tensors, header_bytes=0):
    """The bytes of a file; the header is filled with spaces up to header_bytes."""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode().ljust(header_bytes)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())


class Contradictions(cli.Case):
    def checkpoint(self, name="llama", tensors=lambda t: t, header_bytes=0, generation=None, **config):
        """A copy of a tiny checkpoint, changed; its folder."""
        folder, source = self.path("model"), os.path.join(CHECKPOINTS, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        with open(source + "/config.json", encoding="utf-8") as f:
            self.write("model/config.json", json.dumps({**json.load(f), **config}))
        stored = tensors(read_tensors(source + "/model.safetensors"))
        self.write("model/model.safetensors", safetensors(stored, header_bytes))
        if generation is not None:
            self.write("model/generation_config.json", json.dumps(generation))
        return folder

    def convert(self, folder, status=0):
        return self.run_program("convert", folder, self.path("out.bin"), status=status)

    def notes(self, folder):
        return [line for line in self.convert(folder).err.split("\n") if line.startswith("note: ")]

    def fingerprint(self, folder):
        return self.convert(folder).out.split("model fingerprint ")[1][:16]

    def test_nothing_to_say(self):
        self.assertEqual(self.notes(os.path.join(CHECKPOINTS, "llama")), [])
        self.assertEqual(self.notes(SHARDED), [])

    def test_tied_with_a_head_of_its_own(self):
        for name in "qwen2-stored-head", "gpt2-stored-head", "gpt_neo-stored-head":
            note, = self.notes(os.path.join(CHECKPOINTS, name))
            self.assertIn("tie_word_embeddings: true, but the stored lm_head.weight differs from", note)

    def test_tied_with_the_same_head(self):
        note, = self.notes(os.path.join(CHECKPOINTS, "qwen2-bare"))
        self.assertIn("1 of 27 stored tensors is not used", note)

    def test_tied_with_the_same_head_in_another_dtype(self):
        def halved(tensors, changed):
            """The embedding in BF16, and a head of the same numbers in F32, one of them changed if asked."""
            _, shape, data = tensors["embed_tokens.weight"]
            high = b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4))
            wide = b"".join(b"\0\0" + high[i:i + 2] for i in range(0, len(high), 2))
            if changed:
                wide = wide[:-4] + b"\0\0\0\0"
            return {**tensors, "embed_tokens.weight": ("BF16", shape, high), "lm_head.weight": ("F32", shape, wide)}
        notes = self.notes(self.checkpoint("qwen2-bare", lambda t: halved(t, False)))
        self.assertTrue(all("stored head counts" not in note for note in notes), notes)
        notes = self.notes(self.checkpoint("qwen2-bare", lambda t: halved(t, True)))
        self.assertTrue(any("stored head counts" in note for note in notes), notes)

    def test_wrappers_are_read_through(self):
        plain = self.fingerprint(os.path.join(CHECKPOINTS, "llama"))
        for prefix in "_orig_mod.", "module.", "base_model.model.", "module._orig_mod.":
            folder = self.checkpoint(tensors=lambda t: {prefix + name: x for name, x in t.items()})
            self.assertEqual(self.fingerprint(folder), plain)
            notes = self.notes(folder)
            self.assertEqual(len(notes), prefix.count(".") - (prefix == "base_model.model."))
            for note in notes:
                self.assertIn("which is read through", note)

    def test_a_wrapper_on_some(self):
        folder = self.checkpoint(tensors=lambda t: {("module." if "embed" in n else "") + n: x for n, x in t.items()})
        self.assertIn("embed_tokens.weight is missing", self.convert(folder, status=3).err)

    def test_header_lengths_that_look_like_pickle(self):
        for kib in 4, 8, 12:
            for end in 0x280, 0x380, 0x480, 0x580:
                folder = self.checkpoint(header_bytes=kib * 65536 + end)
                self.assertEqual(self.notes(folder), [])
        small = {"a": ("F32", [1], b"1234")}
        for end in 0x280, 0x380, 0x480, 0x580:
            path = self.write("one.bin", safetensors(small, end))
            self.assertIn("no config.json", self.run_program("convert", path, self.path("o.bin"), status=3).err)

    def test_pickle_is_still_named(self):
        for head in b"\x80\x02}q\x00", b"\x80\x04\x95", b"PK\x03\x04":
            path = self.write("pytorch_model.bin", head + bytes(300))
            self.assertIn("pickle", self.run_program("convert", path, self.path("o.bin"), status=3).err)

    def test_dtype(self):
        note, = self.notes(self.checkpoint(dtype="bfloat16"))
        self.assertIn("says dtype bfloat16, the layers' matrices are stored as F32", note)
        self.assertEqual(self.notes(self.checkpoint(dtype="torch.float32")), [])

    def test_causal(self):
        note, = self.notes(self.checkpoint(is_causal=False))
        self.assertIn("is_causal: false", note)
        self.assertEqual(self.notes(self.checkpoint(is_causal=True)), [])

    def test_eos(self):
        note, = self.notes(self.checkpoint(eos_token_id=2, generation={"eos_token_id": [5, 6]}))
        self.assertIn("config.json says eos_token_id 2, generation_config.json says 5: config.json counts",
                      note.replace(self.scratch + "/model/", ""))
        self.assertEqual(self.notes(self.checkpoint(eos_token_id=2, generation={"eos_token_id": [5, 2]})), [])
        self.assertEqual(self.notes(self.checkpoint(eos_token_id=2, generation={"eos_token_id": None})), [])

    def sharded(self, change):
        """A copy of the sharded checkpoint; change(shards, weight_map) alters {file: tensors} and the map."""
        folder = self.path("shards")
        shutil.copytree(SHARDED, folder)
        index = folder + "/model.safetensors.index.json"
        with open(index, encoding="utf-8") as f:
            listed = json.load(f)
        shards = {name: read_tensors(f"{folder}/{name}") for name in sorted(set(listed["weight_map"].values()))}
        change(shards, listed["weight_map"])
        for name, tensors in shards.items():
            self.write(f"shards/{name}", safetensors(tensors))
        self.write("shards/model.safetensors.index.json", json.dumps(listed))
        return folder

    def test_the_index_counts(self):
        plain = self.fingerprint(SHARDED)

        def twice(shards, weight_map):
            home = weight_map["model.norm.weight"]
            dtype, shape, data = shards[home]["model.norm.weight"]
            other = next(name for name in shards if name != home)
            shards[other]["model.norm.weight"] = dtype, shape, bytes(len(data))
        folder = self.sharded(twice)
        self.assertEqual(self.fingerprint(folder), plain)
        note, = self.notes(folder)
        self.assertIn("holds tensor model.norm.weight, model.safetensors.index.json finds it in", note)

    def test_a_tensor_that_the_index_does_not_name(self):
        plain = self.fingerprint(SHARDED)
        folder = self.sharded(lambda shards, weight_map: weight_map.pop("model.norm.weight"))
        self.assertEqual(self.fingerprint(folder), plain)
        note, = self.notes(folder)
        self.assertIn("holds tensor model.norm.weight, which model.safetensors.index.json does not name", note)


if __name__ == "__main__":
    unittest.main()

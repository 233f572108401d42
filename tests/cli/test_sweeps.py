"""Several depths, row lengths, masks and repeated trainings in one run, against the same asked for alone."""
import json
import os
import unittest

import cli

SMALL = ("--data", cli.MIXED, "-q")


def without(row, *keys):
    return {k: v for k, v in row.items() if k not in keys}


class Depths(cli.Case):
    def test_all_layers_are_the_model(self):
        whole = self.results(*SMALL, "-T", "64", "--mask", "doc,flip0", "--labels", "unshifted,backward")["results"]
        got = self.results(*SMALL, "-T", "64", "--mask", "doc,flip0", "--labels", "unshifted,backward", "--depth", "all")["results"]
        self.assertEqual(sorted({r["depth"] for r in got}), [1, 2, 3, 4, 5, 6])
        self.assertEqual([without(r, "depth") for r in got if r["depth"] == 6], [without(r, "depth") for r in whole])

    def test_a_depth_alone_has_the_same_figures(self):
        some = self.results(*SMALL, "-T", "64", "--depth", "4,0,2")["results"]
        self.assertEqual([r["depth"] for r in some], [0, 2, 4])
        for r in some:
            self.assertEqual(self.results(*SMALL, "-T", "64", "--depth", r["depth"])["results"], [r])

    def test_a_list_and_all(self):
        every = self.results(*SMALL, "-T", "64", "--depth", "all")["results"]
        more = self.results(*SMALL, "-T", "64", "--depth", "3,0,all,1")["results"]
        self.assertEqual([r["depth"] for r in more], [0, 1, 2, 3, 4, 5, 6])
        self.assertEqual(more[1:], every)

    def test_a_leak_through_layers_needs_them(self):
        rows = self.results(*SMALL, "-T", "64", "--mask", "flip0", "--depth", "0,1,2")["results"]
        self.assertEqual([r["leak"] for r in rows], [False, True, True])
        self.assertEqual(rows[1]["leaks"]["indirect"]["predictions"], 0)
        self.assertGreater(rows[2]["leaks"]["indirect"]["predictions"], 0)

    def test_refusals(self):
        for depths in "7", "all,99", "99,0,all":
            run = self.run_program("--model", cli.MODEL, "--depth", depths, status=2)
            self.assertIn("has 6 layers", run.err)
        run = self.run_program("--model", cli.MODEL, "--compare", "x=" + cli.MODEL, "--depth", "1", "--alpha", "1", status=2)
        self.assertIn("--alpha with --depth", run.err)


class RowLengths(cli.Case):
    def test_each_length_alone_has_the_same_figures(self):
        got = self.results(*SMALL, "-T", "128,32,50", "--mask", "doc,regular", "--labels", "unshifted,raw-shifted", "--tail", "drop", "-B", "3")
        self.assertEqual([r["seq_len"] for r in got["results"][::4]], [32, 50, 128])
        for t in 32, 50, 128:
            alone = self.results(*SMALL, "-T", t, "--mask", "doc,regular", "--labels", "unshifted,raw-shifted", "--tail", "drop", "-B", "3")
            self.assertEqual([without(r, "common") for r in got["results"] if r["seq_len"] == t], alone["results"])

    def test_common_predictions(self):
        """By the lines of --tokens: which labels are scored at every length, and what they cost there."""
        path = self.path("tokens.jsonl")
        got = self.results(*SMALL, "-T", "32,64,96", "--mask", "doc,regular", "--tokens", path)
        scored = {}
        with open(path, encoding="utf-8") as f:
            for line in map(json.loads, f):
                at = line["row"] * line["seq_len"] + line["pos"] + 1
                scored.setdefault(at, {})[line["seq_len"]] = line["nll"]
        common = [x for x in scored.values() if len(x) == 3]
        self.assertGreater(len(common), 1000)
        self.assertLess(len(common), len(scored))
        gaps = {}
        for r in got["results"]:
            nll = [x[r["seq_len"]][f"evaluate|{r['mask']}|unshifted||".replace("evaluate", r["model"])] for x in common]
            self.assertEqual(r["common"]["predictions"], len(common))
            self.assertAlmostEqual(r["common"]["loss"], sum(nll) / len(nll), places=12)
            gaps[r["seq_len"], r["mask"]] = r["common"]["loss"]
        for c in got["comparisons"]:
            gap = gaps[c["seq_len"], "regular"] - gaps[c["seq_len"], "doc"]
            self.assertAlmostEqual(c["common"]["difference"], gap, places=12)
            if c["seq_len"] == 32:
                self.assertIsNone(c["common"]["growth"])
                continue
            self.assertAlmostEqual(c["common"]["growth"], gap - (gaps[32, "regular"] - gaps[32, "doc"]), places=12)
            if c["common"]["groups"] < 100:
                self.assertIsNone(c["common"]["growth_low"])
                continue
            self.assertLess(c["common"]["growth_low"], c["common"]["growth"])
            self.assertGreater(c["common"]["growth_high"], c["common"]["growth"])

    def test_up_to_the_limit(self):
        got = self.results("--data", cli.MIXED, "-q", "--max-tokens", "3000", "-T", "512..limit")
        lengths = [r["seq_len"] for r in got["results"]]
        self.assertEqual(lengths[0], 512)
        self.assertTrue(all(b == 2 * a for a, b in zip(lengths, lengths[1:])), lengths)

    def test_a_scheme_that_the_shortest_length_cannot_score(self):
        page = self.path("page.html")
        results = self.results("--data", cli.MIXED, "--max-docs", "2", "-T", "2,8", "--labels", "shifted,backward", "--window", "inside",
                               "-o", page)["results"]
        for r in results:
            some = r["labels"] == "backward"
            self.assertEqual((r["predictions"] > 0, r["common"]["predictions"] > 0), (some or r["seq_len"] == 8, some))
        self.assertTrue(os.path.getsize(page))

    def test_stdin_is_read_once(self):
        run = self.run_program("--model", cli.MODEL, "--data", "-", "-T", "32,64", status=2)
        self.assertIn("stdin can be read once", run.err)
        run = self.run_program("inspect", "--model", cli.MODEL, "-T", "32,64", status=2)
        self.assertIn("inspect takes one row length", run.err)


class Masks(cli.Case):
    def test_only_affected_predictions_move(self):
        path = self.path("tokens.jsonl")
        got = self.results(*SMALL, "-T", "64", "--mask", "doc,regular", "--positions", "continuous", "--tokens", path)
        c, = got["comparisons"]
        self.assertEqual((c["kind"], c["mask_before"], c["mask"]), ("masks", "doc", "regular"))
        key = got["results"][0]["model"] + "|%s|unshifted||"
        with open(path, encoding="utf-8") as f:
            moved = [x for x in (line["nll"][key % "regular"] - line["nll"][key % "doc"] for line in map(json.loads, f)) if x]
        affected = c["affected"]["direct"] + c["affected"]["indirect"]
        self.assertEqual(affected, c["affected"]["predictions"])
        self.assertLessEqual(len(moved), affected)
        self.assertGreater(len(moved), 0.9 * affected)
        self.assertAlmostEqual(sum(moved), c["affected"]["difference"] * affected, places=9)
        self.assertAlmostEqual(sum(moved), c["difference"] * c["predictions"], places=9)

    def test_identical_masks_say_so(self):
        got = self.results(*SMALL, "-T", "64", "--pack", "none", "--mask", "doc,regular")
        c, = got["comparisons"]
        self.assertEqual((c["affected"]["direct"], c["affected"]["indirect"], c["difference"]), (0, 0, 0))
        self.assertIsNone(c["affected"]["difference"])


class Groups(cli.Case):
    def test_repeated_trainings(self):
        got = self.results(*SMALL, "-T", "64", "--max-docs", "3", "--compare", f"again={cli.MODEL},{cli.MODEL}")
        self.assertEqual([(r["model"], r.get("group")) for r in got["results"]], [("base", None), ("again.1", "again"), ("again.2", "again")])
        self.assertEqual(len({r["loss"] for r in got["results"]}), 1)
        self.assertNotIn("comparisons", got)
        run = self.run_program("--model", f"{cli.MODEL},{cli.MODEL}", status=2)
        self.assertIn("a group of models wants a name", run.err)


if __name__ == "__main__":
    unittest.main()

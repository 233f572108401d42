"""evalmask report: the faces of a results file are those of the run that wrote it."""
import csv
import html.parser
import json
import math
import os
import re
import shutil
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

import cli

SMALL = ("--model", cli.MODEL, "--data", "mixed=" + cli.MIXED, "-q", "--max-docs", "8")


def read(path):
    with open(path, "rb") as f:
        return f.read()


REPORTS = os.path.join(cli.ROOT, "tests", "reports")


def results_files():
    folder = os.path.join(REPORTS, "results", "whole")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".json")]


def plain_numbers(value):
    """Every number of a JSON value."""
    if isinstance(value, dict):
        return [x for v in value.values() for x in plain_numbers(v)]
    if isinstance(value, list):
        return [x for v in value for x in plain_numbers(v)]
    return [value] if isinstance(value, float) else []


class Page(html.parser.HTMLParser):
    """Checks that elements nest, and gathers what a page could load."""
    VOID = {"meta", "link", "input", "line"}

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.tags, self.problems = [], [], set(), []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.loads += [v for k, v in attributes if k in ("src", "href", "data", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


class Snapshots(cli.Case):
    """tests/reports/formats/expected/NAME.ENDING is what `evalmask report tests/reports/results/whole/NAME.json -o NAME.ENDING` writes;
    NAME.github.md is what --markdown-style github prints."""

    def test_reports_are_as_expected(self):
        expected = os.path.join(REPORTS, "formats", "expected")
        names = sorted(os.listdir(expected))
        self.assertGreater(len(names), 15)
        for name in names:
            stem, ending = name.split(".", 1)
            results = os.path.join(REPORTS, "results", "whole", stem + ".json")
            with self.subTest(name):
                if ending == "github.md":
                    got = self.run_program("report", results, "--markdown-style", "github").stdout
                else:
                    self.run_program("report", results, "-o", self.path(name))
                    got = read(self.path(name))
                self.assertEqual(got.decode(), read(os.path.join(expected, name)).decode())


class Faces(cli.Case):
    def each(self, ending):
        for path in results_files():
            out = self.path("r." + ending)
            self.run_program("report", path, "-o", out)
            with open(path, encoding="utf-8") as f:
                results = json.load(f)
            with self.subTest(os.path.basename(path)), open(out, encoding="utf-8", newline="") as f:
                yield results, f.read()

    def test_every_figure_of_the_json_is_in_the_csv(self):
        for results, text in self.each("csv"):
            self.assertEqual(text.count("\n"), text.count("\r\n"))
            rows = list(csv.DictReader(text.splitlines()))
            self.assertEqual(len({tuple(r.values()) for r in rows}), len(rows), "two rows are the same")
            values = {float(r["value"]) for r in rows if r["value"].replace("e-", "").replace(".", "").lstrip("-").isdigit()}
            for part in ("results", "comparisons", "means", "gates"):
                for x in plain_numbers(results.get(part, [])):
                    self.assertIn(x, values | {float(r["alpha"]) for r in rows if r["alpha"]})
            losses = [float(r["value"]) for r in rows if (r["kind"], r["part"], r["figure"]) == ("result", "", "loss")]
            self.assertEqual(losses, [r["loss"] for r in results["results"]])

    def test_markdown_fits_80_columns(self):
        for _, text in self.each("md"):
            self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_junit_is_valid(self):
        for results, text in self.each("xml"):
            root = ElementTree.fromstring(text)
            cases, failures = root.findall("testsuite/testcase"), root.findall("testsuite/testcase/failure")
            gates = results.get("gates", [])
            self.assertEqual(len(cases), len(results["results"]) + len(gates))
            self.assertEqual(len(failures), sum(not g["passed"] for g in gates))
            self.assertEqual((int(root.get("tests")), int(root.get("failures"))), (len(cases), len(failures)))
            self.assertEqual(len({(c.get("classname"), c.get("name")) for c in cases}), len(cases))
            figures = {p.get("value") for p in root.iter("property") if p.get("name").endswith(".loss")}
            self.assertEqual({float(x) for x in figures}, {r["loss"] for r in results["results"]})
            if shutil.which("xmllint"):
                subprocess.run(["xmllint", "--noout", "--schema", os.path.join(REPORTS, "formats", "junit.xsd"), self.path("r.xml")],
                               check=True, capture_output=True)

    def test_html_is_whole_and_loads_nothing(self):
        for results, text in self.each("html"):
            page = Page(text)
            self.assertEqual(page.problems, [])
            self.assertEqual(page.loads, ["data:,"])
            self.assertFalse(page.tags & {"script", "img", "iframe", "object"})
            self.assertIn("svg", page.tags)
            for r in results["results"]:
                self.assertIn(f"{r['loss']:.4f}", text)

    def test_names_are_escaped_everywhere(self):
        name = "a<b>&\"'|*`c"
        text = read(os.path.join(REPORTS, "results", "whole", "models.json")).decode().replace('"bard"', json.dumps(name))
        path = self.write("r.json", text)
        self.run_program("report", path, "-o", self.path("r.html"), "-o", self.path("r.xml"), "-o", self.path("r.csv"))
        page = read(self.path("r.html")).decode()
        self.assertEqual(Page(page).problems, [])
        self.assertNotIn("<b>", page)
        self.assertIn("a&lt;b&gt;&amp;&quot;&#39;|*`c", page)
        cases = ElementTree.parse(self.path("r.xml")).findall("testsuite/testcase")
        self.assertTrue(any(name in c.get("name") for c in cases))
        with open(self.path("r.csv"), encoding="utf-8", newline="") as f:
            self.assertIn(name, {r["model"] for r in csv.DictReader(f)})
        github = self.run_program("report", path, "--markdown-style", "github").out
        self.assertIn("a\\<b>&\"'\\|\\*\\`c", github)

    def test_markdown_shows_names_and_not_what_they_mark_up(self):
        text = read(os.path.join(REPORTS, "results", "whole", "models.json")).decode()
        for name, github, plain in (("__x__", "\\_\\_x\\_\\_", "__x__"), ("pile_cc", "pile_cc", "pile_cc"), ("[x](y)", "\\[x](y)", "[x](y)"),
                                    ("[0, 8)", "[0, 8)", "[0, 8)"), ("~~x~~", "\\~\\~x\\~\\~", "~~x~~"), ("a&lt;b", "a\\&lt;b", "a&lt;b"),
                                    ("R&D", "R&D", "R&D"), ("$x$", "\\$x\\$", "$x$"), ("a\\", "a\\\\", "a\\"), ("a\\|b", "a\\\\\\|b", "a\\\\\\|b")):
            path = self.write("r.json", text.replace('"bard"', json.dumps(name)))
            with self.subTest(name):
                self.assertIn(f"| {github} |", re.sub(" +", " ", self.run_program("report", path, "--markdown-style", "github").out))
                self.assertIn(f"| {plain} |", re.sub(" +", " ", self.run_program("report", path).out))

    @unittest.skipUnless(shutil.which("cmark-gfm"), "cmark-gfm is not installed")
    def test_github_markdown_renders(self):
        for path in results_files():
            text = self.run_program("report", path, "--markdown-style", "github").stdout
            page = subprocess.run(["cmark-gfm", "--unsafe", "-e", "table"], input=text, capture_output=True, check=True).stdout.decode()
            with self.subTest(os.path.basename(path)):
                self.assertEqual(page.count("<table>"), text.decode().count("\n\n|"))
                self.assertNotIn("|---", page)

    @unittest.skipUnless(shutil.which("chromium"), "chromium is not installed")
    def test_pages_render_without_a_word_on_the_console(self):
        out = self.path("r.html")
        self.run_program("report", os.path.join(REPORTS, "results", "whole", "sweep.json"), "-o", out)
        run = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
                              f"--user-data-dir={self.path('profile')}", "--dump-dom", "file://" + out],
                             capture_output=True, timeout=cli.LIMIT, check=True)
        self.assertIn(b"</svg>", run.stdout)
        self.assertNotIn(b"CONSOLE", run.stderr)


class Documents(cli.Case):
    def scatter(self, *outputs):
        self.run_program(*SMALL, "-T", "64", "--mask", "doc,regular", *outputs)

    def test_a_page_shows_every_document_with_and_without_a_results_file(self):
        self.scatter("-o", self.path("r.json"), "-o", self.path("r.html"))
        page = read(self.path("r.html"))
        self.assertIn(b"document 7 (", page)
        self.scatter("-o", self.path("alone.html"))
        self.assertEqual(read(self.path("alone.html")), page)
        self.run_program("report", self.path("r.json"), "-o", self.path("again.html"))
        self.assertEqual(read(self.path("again.html")), page)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["again.html", "alone.html", "r.documents.jsonl.zst", "r.html", "r.json"])

    def test_another_runs_documents_are_refused(self):
        self.scatter("-o", self.path("r.json"))
        self.run_program(*SMALL, "-T", "64", "-o", self.path("other.json"))
        os.replace(self.path("other.documents.jsonl.zst"), self.path("r.documents.jsonl.zst"))
        run = self.run_program("report", self.path("r.json"), "-o", self.path("r.html"), status=3)
        self.assertIn("belongs to another run", run.err)
        self.assertFalse(os.path.exists(self.path("r.html")))


class Explore(cli.Case):
    def page(self, *arguments, status=0):
        run = self.run_program("explore", *arguments, "-o", self.path("page.html"), status=status)
        return run if status else read(self.path("page.html")).decode()

    def test_a_run_and_its_file_of_tokens_give_the_same_page(self):
        run = ("--model", cli.MODEL, "--data", cli.MIXED, "-q", "-T", "64", "--mask", "doc,regular")
        self.run_program(*run, "--tokens", self.path("t.jsonl"))
        self.run_program(*run, "--tokens", self.path("t.jsonl.zst"))
        page = self.page(self.path("t.jsonl"), "--document", "1,4")
        self.assertEqual(Page(page).problems, [])
        self.assertEqual(self.page(self.path("t.jsonl.zst"), "--document", "1,4"), page)
        self.assertEqual(self.page(*run, "--document", "4,1"), page)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["page.html", "t.jsonl", "t.jsonl.zst"])

    def test_names_may_hold_what_separates_keys(self):
        name = "a|b\\"
        self.run_program("--model", f"{name}={cli.MODEL}", "--data", cli.MIXED, "--max-docs", "3", "--mask", "doc,regular", "-q",
                         "--tokens", self.path("t.jsonl"), "-o", self.path("r.json"), "-o", self.path("r.csv"))
        with open(self.path("t.jsonl"), encoding="utf-8") as f:
            self.assertEqual(list(json.loads(f.readline())["nll"]), ["a\\|b\\\\|doc|unshifted||", "a\\|b\\\\|regular|unshifted||"])
        page = self.page(self.path("t.jsonl"), "--document", "1")
        for side in (f"{name} doc", f"{name} regular", f"{name} regular minus {name} doc"):
            self.assertIn(f"> {side}</label>", page)
        self.assertEqual({x["model"] for x in json.loads(read(self.path("r.json")))["results"]}, {name})
        with open(self.path("r.csv"), encoding="utf-8", newline="") as f:
            self.assertEqual({x["model"] for x in csv.DictReader(f)}, {name})

    def test_the_page_says_what_the_lines_say(self):
        self.run_program("--model", cli.MODEL, "--data", cli.MIXED, "-q", "-T", "64", "--tokens", self.path("t.jsonl"))
        page = self.page(self.path("t.jsonl"), "--document", "1")
        with open(self.path("t.jsonl"), encoding="utf-8") as f:
            lines = [x for x in map(json.loads, f) if x["doc"] == 1]
        nll = [x["nll"]["base|doc|unshifted||"] for x in lines]
        self.assertEqual(page.count('title="base doc: '), len(lines))
        self.assertIn(f"<td>{math.fsum(nll) / len(nll):.4f}</td>", page)
        body = page[page.index('<div class="text">'):]
        text = "".join(x["label_text"] for x in lines)
        parts = []
        class Text(html.parser.HTMLParser):
            def handle_data(self, data):
                parts.append(data)
        Text().feed(body)
        self.assertTrue(text.replace("\n", "")[:40] in "".join(parts).replace("↵\n", "").replace("⇥", ""))

    def test_texts_of_tokens(self):
        self.run_program("--model", cli.MODEL, "--data", cli.MIXED, "-q", "-T", "64", "--tokens", self.path("t.jsonl"))
        with open(self.path("t.jsonl"), encoding="utf-8") as f:
            lines = [json.loads(x) for x in f]
        texts = {}
        for x in lines:
            self.assertEqual(texts.setdefault(x["token"], x["text"]), x["text"])
            self.assertEqual(texts.setdefault(x["label"], x["label_text"]), x["label_text"])
        self.assertEqual(texts[2], "</s>")

    def test_refusals(self):
        self.run_program("--model", cli.MODEL, "--data", cli.MIXED, "-q", "--max-docs", "3", "--tokens", self.path("t.jsonl"))
        for arguments, status, words in (((self.path("t.jsonl"), "--document", "99"), 3, "no prediction of document 99"),
                                         ((cli.MIXED,), 3, "record 1"), (("/no/such.jsonl",), 3, "cannot be read"),
                                         ((self.path("t.jsonl"), "--document", "x"), 2, "--document x"),
                                         ((self.path("t.jsonl"), "--model", cli.MODEL), 2, "explore wants one file"),
                                         ((), 2, "explore wants one file")):
            with self.subTest(arguments):
                run = self.page(*arguments, status=status)
                self.assert_one_line(run.err)
                self.assertIn(words, run.err)
                self.assertFalse(os.path.exists(self.path("page.html")))
        self.assertIn("must end in .html", self.run_program("explore", self.path("t.jsonl"), "-o", self.path("p.json"), status=2).err)


class Report(cli.Case):
    def test_a_results_file_has_the_faces_of_its_run(self):
        for name, options in {"masks": ("-T", "64", "--mask", "doc,flip0"), "depths": ("-T", "64", "--depth", "2,4"),
                              "pair": ("-T", "64", "--compare", "again=" + cli.MODEL, "--alpha", "-1,0.5"),
                              "lengths": ("-T", "32,64", "--mask", "doc,regular"),
                              "sets": ("-T", "64", "--data", "more=" + cli.MIXED)}.items():
            with self.subTest(name):
                run = self.run_program(*SMALL, *options, "-o", self.path("r.json"))
                again = self.run_program("report", self.path("r.json"), "-o", self.path("again.json"), "-o", self.path("r.md"))
                self.assertEqual(again.out, run.out)
                self.assertEqual(read(self.path("r.md")).decode(), run.out)
                self.assertEqual(read(self.path("again.json")), read(self.path("r.json")))

    def test_refusals(self):
        for arguments, status, word in ((("report",), 2, "one results file"), (("report", "/no/such.json"), 3, "cannot be read"),
                                        (("report", cli.MIXED), 3, "byte"), (("report", "r.json", "-o", "r.pdf"), 2, "must end in"),
                                        (("report", "r.json", "--mask", "doc"), 2, "does not belong")):
            with self.subTest(arguments):
                run = self.run_program(*arguments, status=status)
                self.assert_one_line(run.err)
                self.assertIn(word, run.err)
                self.assertEqual(run.out, "")


if __name__ == "__main__":
    unittest.main()

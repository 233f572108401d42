"""results.schema.json says what results.json holds: held by a validator that knows nothing of evalmask."""
import copy
import glob
import json
import os
import unittest

import cli

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = os.path.join(os.environ.get("EVALMASK_BUILD", os.path.join(cli.ROOT, "build", "release")), "results.schema.json")
FILES = sorted(glob.glob(os.path.join(cli.ROOT, "tests", "reports", "results", "whole", "*.json")))
BAD = sorted(glob.glob(os.path.join(cli.ROOT, "tests", "reports", "results", "bad", "*.json")))
SMALL = ("--data", cli.MIXED, "--max-docs", "6", "-q")


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def closed(schema):
    """The schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [closed(x) for x in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "required" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def holes(schema, path=""):
    """Objects of the schema, by path, with their properties."""
    if "properties" in schema:
        yield path, schema
        for key, value in schema["properties"].items():
            yield from holes(value.get("items", value), f"{path}/{key}")


@unittest.skipUnless(jsonschema, "python3-jsonschema is not installed")
class Schema(cli.Case):
    @classmethod
    def setUpClass(cls):
        cls.schema = load(SCHEMA)
        cls.open = jsonschema.Draft202012Validator(cls.schema)
        cls.closed = jsonschema.Draft202012Validator(closed(cls.schema))

    def problems(self, results, validator=None):
        return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in (validator or self.closed).iter_errors(results)]

    def test_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)
        for path, part in holes(self.schema):
            for key, value in part["properties"].items():
                self.assertTrue(value["description"], f"{path}/{key}")
                self.assertLessEqual(set(part["required"]), set(part["properties"]))

    def test_files_hold_what_it_names_and_no_more(self):
        self.assertGreater(len(FILES), 7)
        for path in FILES:
            with self.subTest(path):
                self.assertEqual(self.problems(load(path)), [])

    def test_runs_hold_what_it_names_and_no_more(self):
        for options in ((), ("--mask", "doc,regular,flip0", "-T", "32,64"), ("--compare", cli.MODEL, "--alpha", "0,1"), ("--depth", "2,all"),
                        ("--labels", "unshifted,shifted", "--pack", "none,stream")):
            with self.subTest(options):
                self.assertEqual(self.problems(self.results(*SMALL, *options)), [])

    def test_refuses_what_the_reader_refuses(self):
        """But for what a schema cannot say: orders, and the length of a name."""
        for path in BAD:
            name = os.path.basename(path)
            if name in ("cut.json", "empty.json", "long-name.json", "no-order.json", "top1-above-1.json", "masks-without-affected.json"):
                continue
            with self.subTest(name):
                self.assertNotEqual(self.problems(load(path), self.open), [])

    def test_every_field_is_held_to_its_type(self):
        whole = load(os.path.join(cli.ROOT, "tests", "reports", "results", "whole", "masks.json"))
        for key, value in whole["results"][0].items():
            broken = copy.deepcopy(whole)
            broken["results"][0][key] = 1 if isinstance(value, (str, bool, list, dict)) else "text"
            with self.subTest(key):
                self.assertNotEqual(self.problems(broken, self.open), [])

    def test_later_fields_are_allowed(self):
        later = load(FILES[0])
        later["results"][0]["later"] = 1
        self.assertEqual(self.problems(later, self.open), [])
        self.assertNotEqual(self.problems(later), [])


if __name__ == "__main__":
    unittest.main()

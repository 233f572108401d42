"""The runs that have a golden: options of evalmask, and what is stored beside the figures.

parts: subsets and positions in the document too; nll_row: every NLL of that row.
mixed.jsonl is 4,692 tokens in 23 documents, one of them without text: rows of 128 hold up to
seven documents, and some documents six rows.
"""
ALL_LABELS = "--labels unshifted,shifted,raw-shifted,raw-unshifted"

CASES = {
    # What most people run, with everything that a result holds.
    "plain": {"args": "-T 128 -B 3 --mask doc,regular", "parts": True, "nll_row": 3},
    "labels": {"args": f"-T 128 -B 3 --mask doc,regular {ALL_LABELS}"},
    "masks": {"args": "-T 128 -B 3 --mask window:32,doc-window:16,prefix:40,full,doc-full,flip0,flip0:200 "
                      "--labels unshifted,raw-unshifted"},
    "doc-prefix": {"args": "-T 128 -B 3 --mask doc-prefix:16,doc-prefix:1000,doc --labels unshifted,raw-shifted,backward"},
    "doc-prefix-alone": {"args": "-T 128 -B 3 --pack none --mask doc-prefix:16,prefix:16 --labels unshifted"},
    "backward": {"args": "-T 128 -B 3 --mask backward,doc-backward,doc,full --labels backward,unshifted"},
    "positions": {"args": "-T 128 -B 3 --mask doc,regular,doc-full --positions reset,continuous"},
    # The ends of the stream and of the rows.
    "tail-drop": {"args": f"-T 128 -B 3 --tail drop --mask doc,regular {ALL_LABELS},backward", "parts": True},
    "tail-drop-exact": {"args": f"-T 128 -B 2 --tail drop --max-tokens 1024 --mask doc {ALL_LABELS}"},
    "tail-drop-one-more": {"args": f"-T 128 -B 2 --tail drop --max-tokens 1025 --mask doc {ALL_LABELS}"},
    "cut-exact": {"args": f"-T 128 -B 3 --max-tokens 1280 --mask doc,regular {ALL_LABELS}"},
    "cut-one-more": {"args": f"-T 128 -B 3 --max-tokens 1281 --mask doc,flip0 {ALL_LABELS}"},
    "cut-two-more": {"args": f"-T 128 -B 3 --max-tokens 1282 --mask doc,full {ALL_LABELS}"},
    "cut-short": {"args": f"-T 128 -B 3 --max-tokens 50 --mask doc,regular,prefix:80 {ALL_LABELS}"},
    "cut-two-tokens": {"args": "-T 128 --max-tokens 2 --mask doc,full"},
    "inside": {"args": f"-T 128 -B 3 --window inside --mask doc,regular,full,flip0 {ALL_LABELS}"},
    "inside-drop": {"args": f"-T 128 -B 3 --window inside --tail drop --max-tokens 1280 --mask doc {ALL_LABELS}"},
    "boundary-drop": {"args": f"-T 128 -B 3 --boundary drop --mask doc,regular {ALL_LABELS},backward", "parts": True},
    # Each document by itself.
    "pack-none": {"args": f"-T 128 -B 3 --pack none --mask doc,regular,full {ALL_LABELS},backward", "parts": True},
    "pack-none-drop": {"args": "-T 128 -B 3 --pack none --tail drop --mask doc,regular --labels unshifted,raw-shifted"},
    "pack-none-cut": {"args": "-T 64 -B 2 --pack none --max-tokens 700 --mask doc --labels unshifted,shifted"},
    # Shapes of rows and batches.
    "tiny-rows": {"args": f"-T 2 -B 5 --max-tokens 400 --mask doc,regular {ALL_LABELS}"},
    "long-rows": {"args": "--mask doc,regular --labels unshifted,raw-shifted"},
    "odd-rows": {"args": "-T 97 -B 7 --mask doc,regular"},
    # Overlapping rows and scored ranges.
    "stride": {"args": f"-T 96 -B 3 --stride 40 --max-tokens 1500 --mask doc,regular {ALL_LABELS},backward"},
    "stride-alone": {"args": "-T 64 -B 3 --stride 24 --pack none --max-tokens 1500 --window inside --tail drop "
                             "--mask doc --labels unshifted,shifted"},
    "score-half": {"args": "-T 96 -B 2 --score half --mask doc,regular --labels unshifted,raw-shifted"},
    "score-last": {"args": "-T 96 -B 1 --stride 32 --score last:20 --tail drop --max-tokens 2000 --mask regular "
                           "--labels unshifted,backward"},
    # Which documents, and what goes round them.
    "one-document": {"args": "-T 128 --max-docs 1 --mask doc,regular"},
    "subset": {"args": "-T 128 -B 3 --subset PEPs --subset Inaugural --max-docs 4 --mask doc,regular", "parts": True},
    "no-eos": {"args": "-T 128 -B 3 --eos none --mask doc,regular", "parts": True},
    "no-bos": {"args": "-T 128 -B 3 --bos none --mask doc,regular", "parts": True},
    "other-eos": {"args": "-T 128 -B 3 --eos 1 --bos '</s>' --max-docs 9 --mask doc"},
}

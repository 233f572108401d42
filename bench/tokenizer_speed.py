"""Tokenizer speed, ours and Hugging Face's, side by side on one thread and the same texts.
Needs: pip install tokenizers; ninja -C BUILD tokenizer_speed.
usage: bench/tokenizer_speed.py BUILD/tests/tokenize/tokenizer_speed TEXTS.jsonl tokenizer.json..."""
import json, os, subprocess, sys, time
os.environ['TOKENIZERS_PARALLELISM'] = 'false'
os.environ['RAYON_NUM_THREADS'] = '1'
from tokenizers import Tokenizer, __version__

PASSES = 2


def theirs(path, texts, size):
    t = Tokenizer.from_file(path)
    t.no_truncation()
    t.no_padding()
    best = min(timed(lambda: [t.encode(x, add_special_tokens=False) for x in texts]) for _ in range(PASSES))
    return size / 1e6 / best


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(tool, path, texts):
    out = subprocess.run([tool, path, texts, str(PASSES)], capture_output=True, text=True, check=True)
    return float(out.stdout.split()[-2]), float(out.stderr.split()[-2])


def main(tool, texts_path, *tokenizers):
    texts = [json.loads(line)['text'] for line in open(texts_path, encoding='utf-8')]
    size = sum(len(t.encode()) for t in texts)
    print(f'{len(texts)} texts, {size / 1e6:.1f} MB, one thread, best of {PASSES} passes; tokenizers {__version__}')
    print(f'{"tokenizer":20} {"ours MB/s":>10} {"theirs MB/s":>12} {"ratio":>6} {"opened s":>9}')
    for path in tokenizers:
        name = os.path.basename(os.path.dirname(os.path.abspath(path)))
        a, opened = ours(tool, path, texts_path)
        b = theirs(path, texts, size)
        print(f'{name:20} {a:10.1f} {b:12.2f} {a / b:6.1f} {opened:9.3f}', flush=True)


if __name__ == '__main__':
    if len(sys.argv) < 4: sys.exit(__doc__)
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""How far each choice of the protocol moves the loss of the bundled model on the bundled shard: the
table in docs/protocol.md. usage: bench/protocol_table.py BINARY [more evalmask options]"""
import json, os, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY, MORE = sys.argv[1], sys.argv[2:]

def run(*options):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'r.json')
        subprocess.run([BINARY, '--model', ROOT + '/data/base.bin', '--data', ROOT + '/data/sample.jsonl.zst', '-q', '-o', out,
                        *options, *MORE], check=True, stdout=subprocess.DEVNULL)
        with open(out) as f: return json.load(f)['results']

base = run()[0]
rows = [('the defaults: `doc`, `unshifted`, T = 1024, B = 8', base, 'loss')]
for x in run('--mask', 'regular,window:256,doc-window:256,full,doc-full,flip0'): rows.append((f"`--mask {x['mask']}`", x, 'loss'))
for x in run('--labels', 'shifted,raw-shifted,raw-unshifted,backward'): rows.append((f"`--labels {x['labels']}`", x, 'loss'))
for mask in ('doc', 'regular'):
    for x in run('--mask', mask, '--positions', 'continuous,reset'): rows.append((f"`--mask {mask} --positions {x['positions']}`", x, 'loss'))
for option in ('-T 256', '-T 2048', '--pack none', '--tail drop', '--boundary drop', '--window inside --labels raw-shifted', '--bos none', '--eos none',
               '--dtype bf16'):
    rows.append((f'`{option}`', run(*option.split())[0], 'loss'))
rows += [('the mean over batches', base, 'loss_batch_mean'), ('the mean over documents', base, 'loss_doc_mean'),
         ('without boundary predictions', base, 'loss_no_boundary')]
print('| choice | loss | moved by | predictions |\n|---|---:|---:|---:|')
for name, x, key in rows:
    print(f"| {name}{' LEAK' if x['leak'] else ''} | {x[key]:.4f} | {x[key] - base['loss']:+.4f} | {x['predictions']} |")

"""Writes spm/: small SentencePiece models, one for each rule that decides where a text may be cut. Needs:
pip install sentencepiece. Tests read only what it wrote; their reference is the library itself.
usage: python3 make_spm.py"""
import io, json, os
import sentencepiece

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = '''41\t61
42\t62
C9\t65
FB01\t66 69
9\t20
A0\t20
3000\t20
2581\t20
AD\t
2026\t2E 2E 2E
D\t
E9\t65 301
66 66\t46
BD\t31 20 32
1F600\t20 3A 29 20
'''
BPE = dict(model_type='bpe')
IDENTITY = dict(normalization_rule_name='identity')
USER = ['<|u|>', '▁▁', '▁▁▁▁', 'th', 'he', 'ff', 'of the', 'A', '\n\n', 'ab', 'é', '<|']


def cases(rules):
    keep = dict(remove_extra_whitespaces=False)
    own = dict(normalization_rule_tsv=rules)
    yield 'plain', dict(**BPE, **IDENTITY, **keep, byte_fallback=True)
    yield 'unknowns', dict(**BPE, **IDENTITY, remove_extra_whitespaces=True, byte_fallback=False)
    yield 'rules', dict(**BPE, **own, remove_extra_whitespaces=True, byte_fallback=True)
    yield 'rules-keep', dict(**BPE, **own, **keep, add_dummy_prefix=False, byte_fallback=False)
    yield 'across', dict(**BPE, **IDENTITY, **keep, split_by_whitespace=False, max_sentencepiece_length=20,
                         byte_fallback=True, vocab_size=1500)
    yield 'user', dict(**BPE, **own, **keep, user_defined_symbols=USER, byte_fallback=True)
    yield 'spaces', dict(**BPE, **IDENTITY, **keep, allow_whitespace_only_pieces=True, byte_fallback=True)
    yield 'suffix', dict(**BPE, **IDENTITY, treat_whitespace_as_suffix=True)
    yield 'unigram', dict(model_type='unigram', **own, byte_fallback=False)
    yield 'unigram-bytes', dict(model_type='unigram', **IDENTITY, **keep, byte_fallback=True, user_defined_symbols=['<|u|>', 'th'])


def main():
    texts = [json.loads(line)['text'] for line in open(os.path.join(HERE, 'real/tiny4k-spm.jsonl'))]
    lines = [x for t in texts for x in t.split('\n') if x.strip() and '\0' not in x]
    rules = os.path.relpath(os.path.join(HERE, 'spm/rules.tsv'))     # the model keeps the name that it is given
    open(rules, 'w').write(RULES)
    for name, options in cases(rules):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines * 3), model_writer=model, minloglevel=2, hard_vocab_limit=False,
            character_coverage=0.98, **{'vocab_size': 500, **options})
        open(os.path.join(HERE, 'spm', name + '.model'), 'wb').write(model.getvalue())
    os.remove(rules)


if __name__ == '__main__': main()

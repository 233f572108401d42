"""Writes valid/: one small tokenizer.json for each component, and the ids that Hugging Face tokenizers
gives for every text of texts.json. Needs: pip install tokenizers. Tests read only what it wrote.
usage: python3 make_cases.py [NAME ...]"""
import json, os, random, sys
from tokenizers import Regex, Tokenizer, models, trainers
from tokenizers import normalizers as N, pre_tokenizers as P

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, 'valid')
CORPUS = '''The mask decides what a position may see. It's the reader's loss, and they'll see that we've measured it; I'd say
so, you're right, I'm sure. DON'T SHOUT! for (int i = 0; i < 1024; i++) { total += row[i] * 3.14159; }\r\n\treturn total;
été naïve façade Übergröße coöperate 北京大学 你好，世界 こんにちは 안녕하세요 Привет мир שלום عربى नमस्ते
¡Hola! ½ + ¾ = 1¼ — “quotes” … 😀👍🏽 1 22 333 4444 55555 the the the loss loss of of of and and
'''
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|"
          r"\s+(?!\S)|\s")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""


def byte_level(**kw): return P.ByteLevel(**{'add_prefix_space': False, **kw})
def split(pattern, behavior, invert=False): return P.Split(pattern, behavior, invert)
def then_bytes(*first): return P.Sequence([*first, byte_level(use_regex=False)])


def train(normalizer=None, pre=None, size=420, **model):
    """A tokenizer.json as a dict; byte-level where the pre-tokenizer is, else over characters."""
    t = Tokenizer(models.BPE(**model))
    if normalizer: t.normalizer = normalizer
    if pre: t.pre_tokenizer = pre
    level = 'ByteLevel' in str(pre)
    special = ['<unk>'] if model.get('unk_token') else []
    if model.get('byte_fallback'): special += ['<0x%02X>' % b for b in range(256)]
    t.train_from_iterator(CORPUS.split('\n'), trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=special,
        initial_alphabet=sorted(P.ByteLevel.alphabet()) if level else list('▁ ')))
    j = json.loads(t.to_str())
    j['added_tokens'] = [a for a in j['added_tokens'] if a['content'] == '<unk>']
    return j


def add(j, *tokens):
    for content, flags in tokens:
        known = len(j['model']['vocab']) + sum(a['content'] not in j['model']['vocab'] for a in j['added_tokens'])
        j['added_tokens'].append({'id': j['model']['vocab'].get(content, known), 'content': content, 'single_word': False,
                                  'lstrip': False, 'rstrip': False, 'normalized': False, 'special': False, **flags})
    return j


def edit(j, **model):
    j['model'].update(model)
    return j


def pairs_as_strings(j): return edit(j, merges=[' '.join(m) for m in j['model']['merges']])


def few_merges_of_vocabulary(j):
    """ignore_merges shows only where a word is in the vocabulary and its merges are gone."""
    return edit(j, merges=j['model']['merges'][:20], ignore_merges=True)


def lacking_bytes(j):
    """A byte-level vocabulary without all its bytes: some characters vanish."""
    used = {c for a, b in j['model']['merges'] for c in a + b}
    keep = {t: i for t, i in j['model']['vocab'].items() if len(t) > 1 or t in used}
    return edit(j, vocab={t: n for n, t in enumerate(keep)})


LEGACY = N.Sequence([N.Prepend('▁'), N.Replace(' ', '▁')])
BOTH = {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<s>', 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}},
        {'SpecialToken': {'id': '</s>', 'type_id': 0}}], 'pair': [{'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}]}


def unigram(normalizer=None, pre=None, size=260, byte_fallback=False):
    t = Tokenizer(models.Unigram())
    if normalizer: t.normalizer = normalizer
    if pre: t.pre_tokenizer = pre
    special = ['<unk>', '</s>'] + (['<0x%02X>' % b for b in range(256)] if byte_fallback else [])
    t.train_from_iterator(CORPUS.split('\n') * 3, trainers.UnigramTrainer(vocab_size=size + 256 * byte_fallback, show_progress=False,
                          special_tokens=special, unk_token='<unk>', initial_alphabet=list('▁abc')))
    j = json.loads(t.to_str())
    j['added_tokens'] = [a for a in j['added_tokens'] if a['content'] in ('<unk>', '</s>')]
    # scores rounded, so that they are the same number to every reader, and ties are there to be broken
    return edit(j, byte_fallback=byte_fallback, vocab=[[piece, round(score, 3)] for piece, score in j['model']['vocab']])


def rules():
    """The charsmap of spm/rules.model: what make_spm.py's RULES compile to."""
    from sentencepiece import sentencepiece_model_pb2
    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(open(os.path.join(HERE, 'spm/rules.model'), 'rb').read())
    return m.normalizer_spec.precompiled_charsmap


def holes(j):
    """Ids with holes and out of order, which the library numbers anew."""
    for id, token in zip((900, 700, 800), j['added_tokens']): token['id'] = id
    return j


def template(j):
    add(j, ('<s>', {'special': True}), ('</s>', {'special': True}))
    ids = {a['content']: a['id'] for a in j['added_tokens']}
    tokens = {k: {'id': k, 'ids': [ids[k]], 'tokens': [k]} for k in ('<s>', '</s>')}
    j['post_processor'] = {'type': 'Sequence', 'processors': [{'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': False,
                           'use_regex': True}, {**BOTH, 'special_tokens': tokens}]}
    return j


def cases():
    R = Regex
    yield 'gpt2', pairs_as_strings(add(train(pre=byte_level()), ('<|endoftext|>', {'special': True, 'normalized': True})))
    yield 'gpt2-truncation', {**train(pre=byte_level()), 'truncation': {'direction': 'Right', 'max_length': 3, 'strategy': 'LongestFirst',
                              'stride': 0}, 'padding': {'strategy': {'Fixed': 9}, 'direction': 'Right', 'pad_to_multiple_of': None,
                              'pad_id': 0, 'pad_type_id': 0, 'pad_token': '!'}}
    yield 'gpt2-prefix-space', train(pre=byte_level(add_prefix_space=True))
    yield 'gpt2-as-split', train(pre=then_bytes(split(R(GPT2), 'isolated')))
    yield 'llama3', template(few_merges_of_vocabulary(train(pre=then_bytes(split(R(LLAMA3), 'isolated')))))
    yield 'qwen2', add(train(N.NFC(), then_bytes(split(R(LLAMA3.replace('{1,3}', '')), 'isolated'))), ('<|im_start|>', {'special': True}))
    yield 'cl100k', train(pre=then_bytes(split(R(CL100K), 'isolated')))
    yield 'o200k', train(pre=then_bytes(split(R(O200K), 'isolated')))
    yield 'deepseek', train(pre=then_bytes(split(R(r'\p{N}{1,3}'), 'isolated'), split(R('[一-龥぀-ゟ゠-ヿ]+'), 'isolated'),
                                           split(R(DEEPSEEK), 'isolated')))
    yield 'neox-spaces', add(train(N.NFC(), byte_level()), ('    ', {'normalized': True}), ('  ', {'normalized': True}),
                             ('<|padding|>', {'special': True}))
    yield 'smollm', train(pre=P.Sequence([P.Digits(True), byte_level()]))
    yield 'digits-together', train(pre=P.Sequence([P.Digits(False), byte_level()]))
    yield 'falcon', train(pre=P.Sequence([P.Punctuation('contiguous'), byte_level(), P.Digits(False), split(R('[0-9][0-9][0-9]'), 'isolated')]))
    yield 'lacking-bytes', lacking_bytes(train(pre=byte_level()))
    yield 'legacy-llama', add(train(LEGACY, None, 700, unk_token='<unk>', byte_fallback=True, fuse_unk=True), ('<s>', {'special': True}))
    yield 'tinystories', add(train(LEGACY, P.Split('▁', 'merged_with_previous'), 700, unk_token='<unk>', byte_fallback=True, fuse_unk=True),
                             ('<|start|>', {'special': True, 'normalized': True}))
    yield 'no-fallback', train(LEGACY, None, 160, unk_token='<unk>', fuse_unk=False)
    yield 'fused-unknown', train(LEGACY, None, 160, unk_token='<unk>', fuse_unk=True)
    yield 'no-unknown', train(None, P.WhitespaceSplit(), 160)
    yield 'few-bytes', edit(train(LEGACY, None, 700, unk_token='<unk>', byte_fallback=True, fuse_unk=True), byte_fallback=True)
    for scheme in ('always', 'first', 'never'):
        yield 'metaspace-' + scheme, add(train(None, P.Metaspace('▁', scheme), 300), ('<sep>', {}))
    yield 'metaspace-whole', train(None, P.Metaspace('▁', 'always', False), 300)
    for form in ('NFC', 'NFD', 'NFKC', 'NFKD'): yield form.lower(), train(getattr(N, form)(), byte_level())
    yield 'lowercase-strip', add(train(N.Sequence([N.Strip(), N.Lowercase(), N.NFC()]), byte_level()), ('LOSS', {'normalized': True}),
                                 ('Mask', {}))
    yield 'replace', train(N.Sequence([N.Replace(R(r'\s{2,}'), ' '), N.Replace('the', 'THE'), N.Replace(R('[“”]'), '"'),
                                       N.Replace(R(r'\.+$'), '')]), byte_level())
    for behavior in ('removed', 'isolated', 'merged_with_previous', 'merged_with_next', 'contiguous'):
        yield 'split-' + behavior.replace('_', '-'), train(pre=then_bytes(split(R(r'[ae\s]'), behavior)))
        yield 'split-inverted-' + behavior.replace('_', '-'), train(pre=then_bytes(split(R(r'\w+|\b!'), behavior, True)))
    yield 'split-string', train(pre=then_bytes(split(' ', 'merged_with_next')))
    yield 'whitespace', train(pre=P.Sequence([P.Whitespace(), byte_level(use_regex=False)]))
    yield 'added-flags', add(train(N.Lowercase(), byte_level()), ('the', {'single_word': True}), ('<l>', {'lstrip': True}),
                             ('<r>', {'rstrip': True}), ('<lr>', {'lstrip': True, 'rstrip': True, 'special': True}), ('<l>x', {}),
                             ('LOSS', {'normalized': True, 'lstrip': True}), ('loss!', {'normalized': True, 'rstrip': True}))
    yield 'added-holes', holes(add(train(pre=byte_level()), ('<s>', {'special': True}), ('<l>', {}), ('<r>', {})))
    yield 'unigram', unigram(N.NFKC(), P.Metaspace('▁', 'always'))
    yield 'unigram-whole', unigram(None, P.Metaspace('▁', 'first', False))
    yield 'unigram-bytes', unigram(None, P.Metaspace('▁', 'always'), byte_fallback=True)
    yield 'unigram-precompiled', unigram(N.Sequence([N.Precompiled(rules()), N.Replace(R(' {2,}'), ' ')]), P.Metaspace('▁', 'always'))
    yield 'precompiled', train(N.Precompiled(rules()), byte_level())


FIXED = ['', ' ', '\n', 'a', 'Hello world', "It's they'LL we'Ve I'M you'ſ x'S", 'the other the, THE the', '  two  spaces   three    four',
         'tabs\t\tand\r\nlines\n\n\n end  ', '1 22 333 4444 55555 ½²٣', 'été e\u0301te\u0301 Å \u212b ﬁ ① ｆｕｌｌ', 'ộ o\u0302\u0323 q\u0307\u0323',
         '한국어 \u1112\u1161\u11ab\u1100\u116e\u11a8', '你好，世界。北京大学', 'नमस्ते שָׁלוֹם مَرْحَبًا', '😀👍🏽 🇩🇪 👨\u200d👩\u200d👧', 'a\u00a0b\u2003c\u3000d\u200be\u180ef\u0085g\u2028h',
         '▁already▁there ▁ ▁▁', '<s>x</s> <unk> <0x41>', 'a<sep> b <sep>c', '<|endoftext|>x<|im_start|>y<|padding|>', 'x <l> y <r>  z <lr> w<l>x loss LOSS! loss',
         'for (int i = 0; i < 1024; i++) { total += row[i] * 3.14159; }', 'LOSS loss Mask mask <|start|> once', 'nul \x00 inside', 'İstanbul ǅ ẞ Σς',
         '\ufeffbom', '\u061d1\u061d \U00011de0\U0001e030\U00016ac0\u1c89\U0002ebf0\ua7f2', 'end...', '“quoted” … text.', 'a' * 300, ' ' * 70 + 'x', 'ab ' * 60]


def random_text(r):
    kinds = [lambda: chr(r.randrange(32, 127)), lambda: ' ', lambda: r.choice('\n\r\t '), lambda: r.choice("'sStTdDmMlLrReEvVſ"),
             lambda: chr(r.randrange(0x80, 0x250)), lambda: chr(r.randrange(0x300, 0x345)), lambda: r.choice('0123456789½٣'),
             lambda: r.choice('\u00a0\u2003\u2028\u3000\u200b\u180e\u0085'), lambda: chr(r.randrange(0xac00, 0xd7a4)), lambda: r.choice('▁.!,'),
             lambda: r.choice(['<sep>', '<l>', 'LOSS', 'the', '<s>', 'loss', ' of', '    '])]
    weights = [r.random() ** 3 for _ in kinds]
    return ''.join(kind() for kind in r.choices(kinds, weights, k=r.randrange(1, 40)))


def main():
    os.makedirs(OUT, exist_ok=True)
    r = random.Random(3)
    texts = FIXED + [random_text(r) for _ in range(40)]
    json.dump(texts, open(os.path.join(HERE, 'texts.json'), 'w'), ensure_ascii=True, indent=0)
    for name, j in cases():
        if sys.argv[1:] and name not in sys.argv[1:]: continue
        t = Tokenizer.from_str(json.dumps(j))
        t.no_truncation()
        t.no_padding()
        plain = [t.encode(x, add_special_tokens=False).ids for x in texts]
        full = t.encode('a').ids
        n = len(t.encode('a', add_special_tokens=False).ids)
        start = next(i for i in range(len(full) + 1) if full[i:i + n] == t.encode('a', add_special_tokens=False).ids)
        json.dump(j, open(os.path.join(OUT, name + '.json'), 'w'), ensure_ascii=True, separators=(',', ':'))
        with open(os.path.join(OUT, name + '.ids'), 'w') as f:
            f.write(json.dumps([full[:start], full[start + n:]]) + '\n')
            f.writelines(json.dumps(ids, separators=(',', ':')) + '\n' for ids in plain)


if __name__ == '__main__': main()

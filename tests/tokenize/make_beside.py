"""Writes beside.json: tokenizers with files beside them that add to them or contradict them, and the ids that
transformers 5 gives for the same directory. `note`: what our note must say ("" : there must be none); `refused`: what
the error must say. Needs: pip install transformers sentencepiece protobuf. Tests read only what it wrote.
usage: python3 make_beside.py"""
import json, os, shutil, tempfile

os.environ['HF_HUB_OFFLINE'] = '1'
from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
SPM = 'spm/plain.model'
TEXTS = ['p <x> q<y> z', 'p<x>q <x> the<y>  <y>y', ' <x> <x><y>\n<x>', '<s>of the</s> rights', 'plain']


def token(content, **flags):
    return dict(dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **flags)


def base():
    """Byte-level BPE of the 256 bytes and a few merges."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in printable]
    alphabet = sorted(letters + [chr(256 + i) for i in range(256 - len(printable))])
    merges = [('t', 'h'), ('th', 'e'), ('Ġ', 'the'), ('o', 'f'), ('Ġ', 'of'), ('Ġ', 'p')]
    vocab = {c: i for i, c in enumerate(alphabet + [a + b for a, b in merges])}
    return {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [], 'normalizer': None,
            'pre_tokenizer': byte_level(False), 'post_processor': None, 'decoder': byte_level(True),
            'model': {'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
                      'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False, 'ignore_merges': False,
                      'vocab': vocab, 'merges': [list(m) for m in merges]}}


def byte_level(space): return {'type': 'ByteLevel', 'add_prefix_space': space, 'trim_offsets': True, 'use_regex': True}


BASE = base()
N = len(BASE['model']['vocab'])


def bos(id):
    a = {'Sequence': {'id': 'A', 'type_id': 0}}
    return {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<x>', 'type_id': 0}}, a], 'pair': [a, a],
            'special_tokens': {'<x>': {'id': '<x>', 'ids': [id], 'tokens': ['<x>']}}}


def json_cases():
    x, y = dict(token('<x>'), id=N), dict(token('<y>'), id=N + 1)
    D = lambda **k: {'added_tokens_decoder': k.pop('d')} | k
    yield 'nothing beside', dict(tj=[x, y], note='')
    yield 'holes', dict(tj=[dict(x, id=N + 5), dict(y, id=N + 9)], note='gives 2 added tokens an id that is not the next')
    yield 'out of order', dict(tj=[dict(x, id=N + 1), dict(y, id=N)], note='gives 2 added tokens an id')
    yield 'known with another id', dict(tj=[dict(token('the'), id=N + 4), x], note='gives 1 added token an id')
    yield 'agree', dict(tj=[x], config=D(d={str(N): token('<x>')}), note='')
    for flag in ('lstrip', 'rstrip', 'single_word'):
        yield f'{flag} in the config', dict(tj=[x], config=D(d={str(N): token('<x>', **{flag: True})}), note='disagree on the flags')
        yield f'{flag} in tokenizer.json', dict(tj=[dict(x, **{flag: True})], config=D(d={str(N): token('<x>')}),
                                                note='disagree on the flags')
    yield 'normalized in the config', dict(tj=[x], lower=True, config=D(d={str(N): token('<x>', normalized=True)}),
                                           texts=['<X> <x>'], note='disagree on the flags')
    yield 'another id in the config', dict(tj=[x], config=D(d={str(N + 3): token('<x>')}), note=f'gives "<x>" the id {N + 3}')
    yield 'new in the config', dict(tj=[x], config=D(d={str(N + 7): token('<y>')}), note='lacks 1 token')
    yield 'new, out of order', dict(config=D(d={'9000': token('<x>'), '8999': token('<y>')}), note='lacks 2 tokens')
    yield 'two names of an id', dict(tj=[x], config=D(d={str(N): token('<y>')}), note='lacks 1 token')
    yield 'added_tokens.json', dict(config={}, added={'<x>': N, '<y>': N + 1}, note='that added_tokens.json names')
    yield 'added_tokens.json with holes', dict(config={}, added={'<x>': N + 9, '<y>': N + 5}, note='lacks 2 tokens')
    yield 'added_tokens.json alone', dict(added={'<x>': N, '<y>': N + 1}, note='lacks 2 tokens')
    yield 'added_tokens.json and flags', dict(tj=[dict(x, lstrip=True)], config={}, added={'<x>': N}, note='')
    yield 'added_tokens.json left out', dict(config=D(d={}), added={'<x>': N}, note='left out')
    yield 'special_tokens_map', dict(config={}, map={'eos_token': '<x>'}, note='special_tokens_map.json names', eos='<x>')
    yield 'special_tokens_map with flags', dict(config={}, map={'eos_token': token('<x>', lstrip=True)}, note='lacks 1 token')
    yield 'additional in the map', dict(config={}, map={'additional_special_tokens': ['<x>', '<y>']}, note='lacks 2 tokens')
    yield 'two eos', dict(tj=[x, y], config={'eos_token': '<x>'}, map={'eos_token': '<y>'}, eos='<y>',
                          note='that of special_tokens_map.json counts')
    yield 'two eos and a decoder', dict(tj=[x, y], config=D(d={str(N): token('<x>'), str(N + 1): token('<y>')}, eos_token='<x>'),
                                        map={'eos_token': '<y>'}, eos='<x>', note='that of tokenizer_config.json counts')
    yield 'flags of a name', dict(tj=[x], config={}, map={'eos_token': token('<x>', lstrip=True)}, note="added token's count")
    yield 'pad_token', dict(config={'pad_token': '<x>'}, note='lacks 1 token')
    yield 'four names', dict(config={'pad_token': '<x>', 'eos_token': '<y>', 'unk_token': 'z', 'bos_token': '<s>'}, note='lacks 3 tokens')
    yield 'extra list', dict(config={'extra_special_tokens': ['<x>']}, note='lacks 1 token')
    yield 'extra names', dict(config={'extra_special_tokens': {'image_token': '<x>'}}, note='lacks 1 token')
    yield 'own name', dict(config={'image_token': '<x>'}, note='lacks 1 token')
    for template in (True, False):
        for add in (True, False):
            yield f'bos {template} {add}', dict(tj=[x], post=bos(N) if template else None, config={'bos_token': '<x>', 'add_bos_token': add},
                                                note='' if template == add else 'add_bos_token is ' + str(add).lower())
    yield 'eos asked for', dict(tj=[x], config={'eos_token': '<x>', 'add_eos_token': True}, note='add_eos_token is true')
    for kind, cls in (('takes', 'PreTrainedTokenizerFast'), ('takes', 'LlamaTokenizerFast'), ('makes', 'GPT2TokenizerFast'), ('makes', 'Qwen2Tokenizer')):
        for space in (True, False):
            for say in (True, False, None):
                differs = (say is not None and say != space) if kind == 'takes' else bool(say) != space
                yield f'space {cls} {space} {say}', dict(
                    tj=[x], space=space, cls=cls, config={} if say is None else {'add_prefix_space': say}, texts=['of the', 'the', '.the <x>the'],
                    note=('tokenizer.json counts' if kind == 'takes' else 'that of tokenizer_config.json counts') if differs else None)
    yield 'space, class unknown', dict(tj=[x], space=True, cls='BloomTokenizer', config={'add_prefix_space': False}, refused='make the two files agree')


def spm_cases():
    """330 and 331 stand for the two ids behind the pieces."""
    size = 500
    d = {str(size): token('<x>'), str(size + 1): token('<y>')}
    b = {'add_bos_token': True}
    for legacy in (True, False, None):
        yield f'legacy {legacy}', dict(config=b | {'added_tokens_decoder': d} | ({} if legacy is None else {'legacy': legacy}), note='lacks 2 tokens')
    yield 'added_tokens.json', dict(config=b, added={'<x>': size, '<y>': size + 1}, note='added_tokens.json names')
    yield 'added_tokens.json with holes', dict(config=b, added={'<x>': size + 9, '<y>': size + 5}, note=f'gives "<y>" the id {size + 5}')
    yield 'pieces named', dict(config=b | {'added_tokens_decoder': {'1': token('<s>'), '2': token('</s>')}}, note='')
    yield 'names alone', dict(config=b | {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}, note='')
    yield 'flags', dict(config=b | {'added_tokens_decoder': {str(size): token('<x>', lstrip=True), str(size + 1): token('<y>', rstrip=True)}}, note='lacks 2')
    yield 'single word', dict(config=b | {'added_tokens_decoder': {str(size): token('<x>', single_word=True)}}, note='lacks 1')
    yield 'pad_token', dict(config=b | {'pad_token': '<x>'}, note='lacks 1 token')
    yield 'eos is added', dict(config=b | {'eos_token': '<y>', 'add_eos_token': True}, added={'<x>': size, '<y>': size + 1}, eos='<y>', note='lacks 2 tokens')
    yield 'no bos', dict(config={'add_bos_token': False, 'added_tokens_decoder': d}, note='lacks 2 tokens')
    yield 'no space', dict(config=b | {'add_prefix_space': False, 'added_tokens_decoder': d}, note='add_prefix_space is false')


def files_of(folder, kind, case):
    if kind == 'spm': shutil.copy(os.path.join(HERE, SPM), os.path.join(folder, 'tokenizer.model'))
    else:
        j = dict(BASE, added_tokens=case.get('tj', []), post_processor=case.get('post'), pre_tokenizer=byte_level(case.get('space', False)),
                 normalizer={'type': 'Lowercase'} if case.get('lower') else None)
        json.dump(j, open(os.path.join(folder, 'tokenizer.json'), 'w'))
    for key, name in (('config', 'tokenizer_config.json'), ('added', 'added_tokens.json'), ('map', 'special_tokens_map.json')):
        if key in case: json.dump(case[key], open(os.path.join(folder, name), 'w'))
    model_type = {'GPT2TokenizerFast': 'gpt2', 'Qwen2Tokenizer': 'qwen2'}.get(case.get('cls'), 'llama')
    json.dump({'model_type': model_type}, open(os.path.join(folder, 'config.json'), 'w'))


def main():
    out = []
    for kind, cases in (('json', json_cases()), ('spm', spm_cases())):
        for name, case in cases:
            if 'config' in case:
                case['config'] = dict(case['config'], tokenizer_class=case.get('cls', 'LlamaTokenizer' if kind == 'spm' else 'PreTrainedTokenizerFast'))
            case.setdefault('texts', TEXTS)
            record = {'name': f'{kind}: {name}', 'kind': kind} | {k: v for k, v in case.items() if k != 'cls'}
            if 'refused' not in case:
                with tempfile.TemporaryDirectory() as folder:
                    files_of(folder, kind, case)
                    t = AutoTokenizer.from_pretrained(folder)
                # A leading space behind SentencePiece's own is the library's affair (two), not a matter of two files.
                record['texts'] = [x for x in case['texts'] if kind == 'json' or not x.startswith(' ')]
                record['ids'] = [t(x)['input_ids'] for x in record['texts']]
            out.append(record)
    with open(os.path.join(HERE, 'beside.json'), 'w') as f:
        f.write('{"base": %s,\n"cases": [\n' % json.dumps(BASE, separators=(',', ':')))
        f.write(',\n'.join(json.dumps(r, separators=(',', ':')) for r in out) + '\n]}\n')


if __name__ == '__main__': main()

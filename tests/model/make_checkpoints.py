#!/usr/bin/env python3
"""Writes tests/model/checkpoints/NAME and tests/model/goldens/NAME.json: small random models of every
family and the NLLs that Hugging Face transformers (float32, eager attention) gives for one row of
24 tokens. Needs torch and transformers; its output is committed, the tests do not run it.
usage: make_checkpoints.py [NAME...]: those cases alone. A new case goes to the end: a case's place is its seed.

Each golden holds two lists: "regular" is the row as one sequence with positions 0..23, "documents"
is the row's two documents run each by itself (what mask `doc` with positions `reset` must equal);
nll[i] belongs to the token at i + 1."""
import json, os, shutil, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
ROW, CUT = 24, 10
BASE = dict(vocab_size=64, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, pad_token_id=None, bos_token_id=1, eos_token_id=2)
GQA = dict(num_attention_heads=4, num_key_value_heads=2)
ROPE = lambda **k: dict(rope_parameters=dict(rope_theta=10000.0, **k))

# name: (model_type, config, keys that config.json leaves out because they are at the class default)
CASES = {
    'llama': ('llama', dict(BASE, **GQA), ['rms_norm_eps', 'hidden_act', 'rope_parameters', 'tie_word_embeddings', 'head_dim',
                                          'attention_bias', 'mlp_bias']),
    'llama-biases': ('llama', dict(BASE, attention_bias=True, mlp_bias=True, head_dim=12), []),
    'llama-linear': ('llama', dict(BASE, **ROPE(rope_type='linear', factor=4.0)), []),
    'llama-llama3': ('llama', dict(BASE, tie_word_embeddings=True, **ROPE(rope_type='llama3', factor=8.0, low_freq_factor=1.0,
                     high_freq_factor=4.0, original_max_position_embeddings=16)), []),
    'llama-yarn': ('llama', dict(BASE, head_dim=16, **ROPE(rope_type='yarn', factor=4.0, original_max_position_embeddings=16)), []),
    'llama-yarn-mscale': ('llama', dict(BASE, head_dim=16, **ROPE(rope_type='yarn', factor=8.0, original_max_position_embeddings=32,
                          beta_fast=4.0, beta_slow=2.0, mscale=0.8, mscale_all_dim=0.4, truncate=False)), []),
    'mistral': ('mistral', dict(BASE, **GQA, sliding_window=7), ['rms_norm_eps', 'hidden_act', 'rope_parameters', 'head_dim']),
    'qwen2': ('qwen2', dict(BASE, **GQA, tie_word_embeddings=True), ['use_sliding_window', 'sliding_window', 'max_window_layers',
              'layer_types', 'rms_norm_eps', 'rope_parameters', 'hidden_act']),
    'qwen2-window': ('qwen2', dict(BASE, **GQA, use_sliding_window=True, sliding_window=5, max_window_layers=1), ['layer_types']),
    'qwen3': ('qwen3', dict(BASE, **GQA, head_dim=12), ['rms_norm_eps', 'layer_types', 'rope_parameters', 'attention_bias']),
    'smollm3': ('smollm3', dict(BASE, **GQA, no_rope_layer_interval=2), ['no_rope_layers', 'layer_types', 'rope_parameters']),
    'gpt2': ('gpt2', dict(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32), ['n_inner', 'activation_function',
             'layer_norm_epsilon', 'scale_attn_weights', 'tie_word_embeddings', 'bos_token_id', 'eos_token_id',
             'reorder_and_upcast_attn', 'scale_attn_by_inverse_layer_idx']),
    'gpt2-scales': ('gpt2', dict(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32, n_inner=24,
                    scale_attn_by_inverse_layer_idx=True, activation_function='gelu'), []),
    'gpt_neo': ('gpt_neo', dict(vocab_size=64, hidden_size=16, num_layers=2, num_heads=2, max_position_embeddings=32, window_size=6,
                attention_types=[[['global', 'local'], 1]]), ['intermediate_size', 'activation_function', 'attention_layers']),
    'gpt_neox': ('gpt_neox', dict(BASE), ['rope_parameters', 'use_parallel_residual', 'attention_bias', 'hidden_act',
                 'layer_norm_eps', 'tie_word_embeddings']),
    'gpt_neox-sequential': ('gpt_neox', dict(BASE, use_parallel_residual=False, attention_bias=False,
                            **ROPE(rope_type='default', partial_rotary_factor=0.5)), []),
    'olmo2': ('olmo2', dict(BASE, **GQA), ['rms_norm_eps', 'rope_parameters', 'attention_bias', 'hidden_act']),
    'gemma2': ('gemma2', dict(BASE, **GQA, head_dim=12, query_pre_attn_scalar=10, sliding_window=6, attn_logit_softcapping=2.0,
               final_logit_softcapping=3.0), ['layer_types', 'rope_parameters', 'hidden_activation', 'tie_word_embeddings']),
    'gemma3': ('gemma3_text', dict(BASE, **GQA, num_hidden_layers=3, head_dim=12, query_pre_attn_scalar=10, sliding_window=6,
               layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
               rope_parameters={'full_attention': dict(rope_type='linear', factor=8.0, rope_theta=1e6),
                                'sliding_attention': dict(rope_type='default', rope_theta=1e4)}), []),
    'stablelm': ('stablelm', dict(BASE, **GQA, hidden_size=32), ['rope_parameters', 'use_qkv_bias', 'qk_layernorm',
                 'use_parallel_residual', 'layer_norm_eps', 'hidden_act', 'tie_word_embeddings']),
    'stablelm-parallel': ('stablelm', dict(BASE, hidden_size=32, num_key_value_heads=2, use_qkv_bias=True, use_parallel_residual=True, layer_norm_eps=0.01,
                          tie_word_embeddings=True, **ROPE(rope_type='linear', factor=4.0, partial_rotary_factor=0.5)), []),
}


def nlls(model, ids):
    logits = model(torch.tensor([ids])).logits[0].double()
    return torch.log_softmax(logits, -1)


def golden(model, ids):
    def labelled(logp, frm):
        return [-logp[i, ids[frm + i + 1]].item() for i in range(logp.shape[0]) if frm + i + 1 < ROW]
    return {'ids': ids, 'cut': CUT, 'regular': labelled(nlls(model, ids), 0),
            'documents': labelled(nlls(model, ids[:CUT]), 0) + labelled(nlls(model, ids[CUT:]), CUT)}


def make(name, model_type, settings, omitted, seed):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings), dtype=torch.float32, attn_implementation='eager').eval()
    for p in model.parameters():     # wide enough that every part moves the result
        p.data = p.data + 0.3 * torch.randn_like(p)
    folder = f'{HERE}/checkpoints/{name}'
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    config = json.load(open(f'{folder}/config.json'))
    for key in omitted: config.pop(key, None)
    for key in list(config):
        if key in ('initializer_range', 'use_cache', 'transformers_version', 'architectures') or 'drop' in key or 'summary' in key or 'pdrop' in key: config.pop(key)
    json.dump(config, open(f'{folder}/config.json', 'w'), indent=1)
    for extra in os.listdir(folder):
        if extra not in ('config.json', 'model.safetensors'): os.remove(f'{folder}/{extra}')
    if name == 'llama':      # the same in shards
        shutil.rmtree(f'{HERE}/sharded', ignore_errors=True)
        model.save_pretrained(f'{HERE}/sharded', max_shard_size='6KB')
        shutil.copy(f'{folder}/config.json', f'{HERE}/sharded/config.json')
        for extra in os.listdir(f'{HERE}/sharded'):
            if 'generation' in extra: os.remove(f'{HERE}/sharded/{extra}')
    ids = torch.randint(0, 64, (ROW,), generator=torch.Generator().manual_seed(seed)).tolist()
    with torch.no_grad(): json.dump(golden(model, ids), open(f'{HERE}/goldens/{name}.json', 'w'))


os.makedirs(f'{HERE}/goldens', exist_ok=True)
for i, (name, (kind, settings, omitted)) in enumerate(CASES.items()):
    if len(sys.argv) == 1 or name in sys.argv[1:]: make(name, kind, settings, omitted, i + 1)
if len(sys.argv) > 1: sys.exit()


def variant(source, name, rename, change, extra=None):
    """The same network as its publishers also store it: other tensor names, another config.json."""
    from safetensors.torch import load_file, save_file
    folder = f'{HERE}/checkpoints/{name}'
    os.makedirs(folder, exist_ok=True)
    tensors = {rename(k): v for k, v in load_file(f'{HERE}/checkpoints/{source}/model.safetensors').items()}
    save_file({**tensors, **(extra or {})}, f'{folder}/model.safetensors', metadata={'format': 'pt'})
    json.dump(change(json.load(open(f'{HERE}/checkpoints/{source}/config.json'))), open(f'{folder}/config.json', 'w'), indent=1)
    shutil.copy(f'{HERE}/goldens/{source}.json', f'{HERE}/goldens/{name}.json')


def embedding(source, name):
    from safetensors.torch import load_file
    return load_file(f'{HERE}/checkpoints/{source}/model.safetensors')[name].clone()


def stored_head(source, name):
    """tie_word_embeddings is true, and a head of its own is stored: transformers 5 uses it, and the golden is its."""
    ids = json.load(open(f'{HERE}/goldens/{source}.json'))['ids']
    head = 0.3 * torch.randn(64, embedding_width(source), generator=torch.Generator().manual_seed(7))
    variant(source, name, lambda k: k, lambda c: dict(c, tie_word_embeddings=True), {'lm_head.weight': head})
    model = AutoModelForCausalLM.from_pretrained(f'{HERE}/checkpoints/{name}', dtype=torch.float32, attn_implementation='eager').eval()
    assert torch.equal(model.lm_head.weight, head)
    with torch.no_grad(): json.dump(golden(model, ids), open(f'{HERE}/goldens/{name}.json', 'w'))


def embedding_width(source):
    config = json.load(open(f'{HERE}/checkpoints/{source}/config.json'))
    return config.get('hidden_size') or config['n_embd']


def version4(config):
    rope = config.pop('rope_parameters')
    return dict(config, rope_theta=rope.pop('rope_theta'), rope_scaling=rope, torch_dtype=config.pop('dtype'))


def image_model(config):
    rope = config.pop('rope_parameters')
    config.pop('layer_types')
    full = rope['full_attention']
    text = dict(config, rope_theta=full.pop('rope_theta'), rope_scaling=full, rope_local_base_freq=1e4, sliding_window_pattern=2)
    return dict(model_type='gemma3', text_config=text, vision_config={}, eos_token_id=[1, 106])


variant('llama-llama3', 'llama-version4', lambda k: k, version4)
variant('gpt2', 'gpt2-bare', lambda k: k.removeprefix('transformer.'), lambda c: c,
        {'h.0.attn.bias': torch.ones(1, 1, 4, 4), 'h.0.attn.masked_bias': torch.tensor(-1e4)})
variant('qwen2', 'qwen2-head-only', lambda k: k.replace('model.embed_tokens', 'lm_head'), lambda c: c)
variant('qwen2', 'qwen2-bare', lambda k: k.removeprefix('model.'), lambda c: c,
        {'lm_head.weight': embedding('qwen2', 'model.embed_tokens.weight')})
variant('gemma3', 'gemma3-image', lambda k: 'language_model.' + k, image_model, {'vision_tower.patch.weight': torch.zeros(2)})
for source in ('qwen2', 'gpt2', 'gpt_neo'): stored_head(source, source + '-stored-head')

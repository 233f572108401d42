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
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

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
    'gemma': ('gemma', dict(BASE, num_key_value_heads=1, head_dim=12, hidden_act='gelu'), ['rms_norm_eps', 'rope_parameters',
              'tie_word_embeddings', 'attention_bias']),
    'olmo': ('olmo', dict(BASE, **GQA), ['hidden_act', 'rope_parameters', 'clip_qkv', 'attention_bias', 'tie_word_embeddings']),
    'olmo-biases': ('olmo', dict(BASE, num_key_value_heads=1, attention_bias=True, tie_word_embeddings=True,
                    **ROPE(rope_type='linear', factor=2.0)), []),
    'olmo3': ('olmo3', dict(BASE, **GQA, num_hidden_layers=5, sliding_window=5), ['layer_types', 'rope_parameters', 'rms_norm_eps',
              'hidden_act']),
    'olmo3-yarn': ('olmo3', dict(BASE, num_attention_heads=2, num_key_value_heads=1, head_dim=16, attention_bias=True,
                   sliding_window=7, layer_types=['full_attention', 'sliding_attention'],
                   rope_parameters={'full_attention': dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=16,
                                    rope_theta=5e4), 'sliding_attention': dict(rope_type='default', rope_theta=1e4)}), []),
    'phi': ('phi', dict(BASE, **GQA), ['rope_parameters', 'qk_layernorm', 'layer_norm_eps', 'hidden_act', 'tie_word_embeddings']),
    'phi-tied': ('phi', dict(BASE, num_attention_heads=2, head_dim=12, tie_word_embeddings=True, hidden_act='relu', layer_norm_eps=0.01,
                 **ROPE(rope_type='default', partial_rotary_factor=0.34)), []),
    'phi3': ('phi3', dict(BASE, **GQA), ['rope_parameters', 'sliding_window', 'rms_norm_eps', 'hidden_act', 'tie_word_embeddings',
             'original_max_position_embeddings']),
    'phi3-partial': ('phi3', dict(BASE, num_key_value_heads=1, sliding_window=6, tie_word_embeddings=True,
                     **ROPE(rope_type='default', partial_rotary_factor=0.75)), []),
    'opt': ('opt', dict(vocab_size=64, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=32), ['activation_function', 'do_layer_norm_before', '_remove_final_layer_norm', 'enable_bias',
            'word_embed_proj_dim', 'layer_norm_elementwise_affine', 'tie_word_embeddings', 'pad_token_id']),
    'opt-plain': ('opt', dict(vocab_size=64, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
                  max_position_embeddings=32, enable_bias=False, layer_norm_elementwise_affine=False, activation_function='gelu',
                  tie_word_embeddings=False, pad_token_id=None), []),
    'falcon': ('falcon', dict(vocab_size=64, hidden_size=24, num_hidden_layers=2, num_attention_heads=3), ['num_kv_heads',
               'num_ln_in_parallel_attn', 'ffn_hidden_size', 'rope_parameters', 'alibi', 'new_decoder_architecture', 'multi_query',
               'parallel_attn', 'bias', 'activation', 'tie_word_embeddings', 'layer_norm_epsilon']),
    'falcon-groups': ('falcon', dict(vocab_size=64, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_kv_heads=2,
                      new_decoder_architecture=True, bias=True, ffn_hidden_size=40, **ROPE(rope_type='linear', factor=2.0)),
                      ['num_ln_in_parallel_attn']),
    'falcon-one-norm': ('falcon', dict(vocab_size=64, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_kv_heads=3,
                        new_decoder_architecture=True, num_ln_in_parallel_attn=1, tie_word_embeddings=False), []),
    'falcon-sequential': ('falcon', dict(vocab_size=64, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, multi_query=False,
                          parallel_attn=False, bias=True, activation='gelu_pytorch_tanh'), []),
    'gptj': ('gptj', dict(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=32, rotary_dim=6), ['n_inner', 'tie_word_embeddings',
             'activation_function', 'layer_norm_epsilon']),
    'gptj-whole': ('gptj', dict(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32, rotary_dim=8, n_inner=24,
                   tie_word_embeddings=True, activation_function='relu'), []),
    'gpt_bigcode': ('gpt_bigcode', dict(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32), ['n_inner', 'multi_query',
                    'activation_function', 'layer_norm_epsilon', 'scale_attn_weights', 'tie_word_embeddings', 'num_key_value_heads']),
    'gpt_bigcode-heads': ('gpt_bigcode', dict(vocab_size=64, n_embd=16, n_layer=2, n_head=4, n_positions=32, n_inner=24,
                          multi_query=False, scale_attn_weights=False, tie_word_embeddings=False), []),
    'starcoder2': ('starcoder2', dict(BASE, **GQA), ['sliding_window', 'use_bias', 'hidden_act', 'norm_epsilon', 'rope_parameters',
                   'tie_word_embeddings']),
    'starcoder2-window': ('starcoder2', dict(BASE, num_key_value_heads=1, sliding_window=5, use_bias=False, tie_word_embeddings=False,
                          norm_epsilon=0.01, **ROPE(rope_type='linear', factor=2.0)), []),
    'exaone4': ('exaone4', dict(BASE, **GQA, num_hidden_layers=5, sliding_window=5), ['layer_types', 'sliding_window_pattern',
                'rope_parameters', 'rms_norm_eps', 'hidden_act', 'tie_word_embeddings']),
    'exaone4-full': ('exaone4', dict(BASE, **GQA, head_dim=12, sliding_window=None, layer_types=['full_attention'] * 2,
                     tie_word_embeddings=True, **ROPE(rope_type='llama3', factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                     original_max_position_embeddings=16)), []),
    'glm': ('glm', dict(BASE, **GQA, head_dim=12), ['rope_parameters', 'attention_bias', 'rms_norm_eps', 'hidden_act',
            'tie_word_embeddings']),
    'glm4': ('glm4', dict(BASE, **GQA, head_dim=16, attention_bias=False, tie_word_embeddings=True,
             **ROPE(rope_type='default', partial_rotary_factor=0.25)), []),
    'ernie4_5': ('ernie4_5', dict(BASE, **GQA, head_dim=12), ['use_bias', 'rms_norm_eps', 'hidden_act', 'rope_parameters',
                 'tie_word_embeddings']),
    'ernie4_5-biases': ('ernie4_5', dict(BASE, num_key_value_heads=1, head_dim=8, use_bias=True, tie_word_embeddings=False,
                        rope_parameters=dict(rope_type='default', rope_theta=100.0)), []),
    'seed_oss': ('seed_oss', dict(BASE, **GQA, head_dim=12), ['attention_bias', 'attention_out_bias', 'mlp_bias', 'rms_norm_eps',
                 'hidden_act', 'rope_parameters', 'tie_word_embeddings']),
    'seed_oss-biases': ('seed_oss', dict(BASE, **GQA, head_dim=8, attention_bias=False, attention_out_bias=True, mlp_bias=True), []),
    'phi3-longrope': ('phi3', dict(BASE, **GQA, max_position_embeddings=256, original_max_position_embeddings=32, hidden_size=32,
                      rope_parameters=dict(rope_type='longrope', rope_theta=1e4, partial_rotary_factor=0.75,
                      short_factor=[1.0, 1.3, 2.5], long_factor=[1.5, 4.0, 8.0])), []),
    'llama-longrope': ('llama', dict(BASE, rope_parameters=dict(rope_type='longrope', rope_theta=1e4, factor=4.0,
                       original_max_position_embeddings=24, short_factor=[1.0, 1.5, 2.0, 3.0], long_factor=[2.0] * 4)), []),
    'ministral': ('ministral', dict(BASE, **GQA, head_dim=8, sliding_window=6), ['layer_types', 'rms_norm_eps', 'rope_parameters', 'hidden_act',
                  'tie_word_embeddings']),
    'ministral-layers': ('ministral', dict(BASE, **GQA, head_dim=12, sliding_window=5, layer_types=['sliding_attention',
                         'full_attention'], **ROPE(rope_type='linear', factor=4.0)), []),
    'helium': ('helium', dict(BASE, num_attention_heads=4, num_key_value_heads=2, head_dim=4), ['attention_bias', 'mlp_bias',
               'rms_norm_eps', 'hidden_act', 'rope_parameters', 'tie_word_embeddings']),
    'helium-biases': ('helium', dict(BASE, num_key_value_heads=1, head_dim=8, attention_bias=True, mlp_bias=True,
                      tie_word_embeddings=True), []),
    'mistral3': ('mistral3', dict(text_config=dict(BASE, **GQA, model_type='mistral', head_dim=12, sliding_window=None),
                 vision_config=dict(model_type='pixtral', hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                 num_attention_heads=1, head_dim=8, image_size=32, patch_size=16), tie_word_embeddings=False), []),
    'qwen2_vl': ('qwen2_vl', dict(text_config=dict(BASE, **GQA, rope_parameters=dict(rope_type='default', rope_theta=1e4,
                 mrope_section=[1, 1, 0])), vision_config=dict(depth=1, embed_dim=8, hidden_size=16, num_heads=1)), []),
    'qwen2_5_vl': ('qwen2_5_vl', dict(text_config=dict(BASE, **GQA, use_sliding_window=True, sliding_window=5, max_window_layers=1,
                   rope_parameters=dict(rope_type='default', rope_theta=1e5, mrope_section=[1, 1, 0])),
                   vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=1, out_hidden_size=16,
                   fullatt_block_indexes=[0]), tie_word_embeddings=True), []),
    'qwen3_vl': ('qwen3_vl', dict(text_config=dict(BASE, **GQA, head_dim=12, attention_bias=True, rope_parameters=dict(
                 rope_type='default', rope_theta=1e4, mrope_section=[2, 2, 2], mrope_interleaved=True)),
                 vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=1, out_hidden_size=16,
                 num_position_embeddings=16, deepstack_visual_indexes=[0])), []),
    'nemotron': ('nemotron', dict(BASE, **GQA), ['rope_parameters', 'norm_eps', 'hidden_act', 'attention_bias', 'mlp_bias',
                 'tie_word_embeddings', 'head_dim']),
    'nemotron-biases': ('nemotron', dict(BASE, num_key_value_heads=1, head_dim=12, attention_bias=True, mlp_bias=True, norm_eps=0.01,
                        tie_word_embeddings=True, **ROPE(rope_type='default', partial_rotary_factor=0.34)), []),
    'arcee': ('arcee', dict(BASE, **GQA), ['rms_norm_eps', 'hidden_act', 'rope_parameters', 'head_dim', 'attention_bias', 'mlp_bias',
              'tie_word_embeddings']),
    'arcee-yarn': ('arcee', dict(BASE, head_dim=16, num_key_value_heads=1, attention_bias=True, mlp_bias=True, **ROPE(rope_type='yarn',
                   factor=4.0, original_max_position_embeddings=16)), []),
}


def nlls(model, ids):
    logits = model(torch.tensor([ids])).logits[0].double()
    return torch.log_softmax(logits, -1)


def golden(model, ids):
    def labelled(logp, frm):
        return [-logp[i, ids[frm + i + 1]].item() for i in range(logp.shape[0]) if frm + i + 1 < ROW]
    return {'ids': ids, 'cut': CUT, 'regular': labelled(nlls(model, ids), 0),
            'documents': labelled(nlls(model, ids[:CUT]), 0) + labelled(nlls(model, ids[CUT:]), CUT)}


def drop_images(folder, config):
    """Leaves one tensor of the image's part, which has to be passed over."""
    from safetensors.torch import load_file, save_file
    tensors = load_file(f'{folder}/model.safetensors')
    text = {k: v for k, v in tensors.items() if not any(part in k for part in ('visual', 'vision', 'projector'))}
    other = min(k for k in tensors if k not in text)
    save_file({**text, other: torch.zeros(2)}, f'{folder}/model.safetensors', metadata={'format': 'pt'})
    config['vision_config'] = {}
    for key in list(config['text_config']):
        if key in ('initializer_range', 'use_cache', 'dtype') or 'dropout' in key: config['text_config'].pop(key)
    json.dump(config, open(f'{folder}/config.json', 'w'), indent=1)


def make(name, model_type, settings, omitted, seed):
    torch.manual_seed(seed)
    loader = AutoModelForImageTextToText if 'text_config' in settings else AutoModelForCausalLM
    model = loader.from_config(AutoConfig.for_model(model_type, **settings), dtype=torch.float32, attn_implementation='eager').eval()
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
    if 'text_config' in settings: drop_images(folder, config)
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

#!/usr/bin/env python3
"""Writes tests/model/adapters/NAME (a small PEFT LoRA over a checkpoint of tests/model/checkpoints, with random
weights) and tests/model/adapters/NAME.json: the NLLs that PEFT over transformers (float32, eager attention) gives
for the checkpoint's row of 24 tokens, as in make_checkpoints.py. Needs torch, transformers and peft; its output is
committed, the tests do not run it."""
import json, os, shutil, warnings
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
LINEAR = dict(task_type='CAUSAL_LM', r=4, lora_alpha=6)

# name: (checkpoint, LoraConfig's arguments)
CASES = {
    'llama-list': ('llama', dict(LINEAR, target_modules=['q_proj', 'v_proj', 'down_proj'])),
    'llama-all': ('llama', dict(LINEAR, target_modules='all-linear', use_rslora=True)),
    'llama-regex': ('llama', dict(LINEAR, target_modules=r'.*\.(layers\.1\..*_proj|self_attn\.k_proj)', exclude_modules=['up_proj'])),
    'llama-patterns': ('llama', dict(LINEAR, target_modules=['q_proj', 'k_proj', 'gate_proj', 'o_proj'],
                       rank_pattern={'q_proj': 2, r'layers\.1\.mlp\.gate_proj': 7, 'proj': 3}, alpha_pattern={r'.*\.0\..*k_proj': 1.5, '^o_proj': 9})),
    'llama-layers': ('llama', dict(LINEAR, target_modules=['q_proj', 'up_proj', 'model.layers.0.self_attn.o_proj'], layers_to_transform=[1], layers_pattern='layers')),
    'llama-lora-bias': ('llama', dict(LINEAR, target_modules=['q_proj', 'o_proj', 'gate_proj', 'lm_head'], lora_bias=True)),
    'llama-ends': ('llama', dict(LINEAR, target_modules=['embed_tokens', 'lm_head', 'k_proj'])),
    'llama-biases-all': ('llama-biases', dict(LINEAR, target_modules=['q_proj', 'down_proj'], bias='all')),
    'llama-biases-only': ('llama-biases', dict(LINEAR, target_modules=['v_proj'], bias='lora_only', lora_bias=True)),
    'qwen2-tied-embedding': ('qwen2', dict(LINEAR, target_modules=['embed_tokens', 'q_proj'])),
    'qwen2-tied-head': ('qwen2', dict(LINEAR, target_modules=['lm_head', 'v_proj'])),
    'gpt2-fan-in': ('gpt2', dict(LINEAR, target_modules=['c_attn', 'c_proj', 'c_fc'], fan_in_fan_out=True)),
    'gpt2-bare': ('gpt2-bare', dict(LINEAR, target_modules='all-linear', bias='all')),
    'gpt2-embeddings': ('gpt2', dict(LINEAR, target_modules=['wte', 'wpe'])),
    'gpt_neox-fused': ('gpt_neox', dict(LINEAR, target_modules=['query_key_value', 'dense_4h_to_h'], lora_bias=True)),
    'gpt_neox-all': ('gpt_neox', dict(LINEAR, target_modules='all-linear', bias='all')),
    'gemma3': ('gemma3', dict(LINEAR, target_modules=['q_proj', 'down_proj'], layers_to_transform=2)),
}


def nlls(model, ids, frm, row):
    logp = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    return [-logp[i, row[frm + i + 1]].item() for i in range(len(ids)) if frm + i + 1 < len(row)]


def make(name, checkpoint, arguments, seed):
    torch.manual_seed(seed)
    load = lambda: AutoModelForCausalLM.from_pretrained(f'{HERE}/checkpoints/{checkpoint}', dtype=torch.float32, attn_implementation='eager')
    model = get_peft_model(load(), LoraConfig(**arguments))
    for key, p in model.named_parameters():      # B too, and the biases that are trained
        if 'lora_' in key or p.requires_grad: p.data = p.data + 0.3 * torch.randn_like(p)
    folder = f'{HERE}/adapters/{name}'
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    config = json.load(open(f'{folder}/adapter_config.json'))
    config['base_model_name_or_path'] = checkpoint
    json.dump(config, open(f'{folder}/adapter_config.json', 'w'), indent=1)
    for extra in os.listdir(folder):
        if not extra.startswith('adapter_'): os.remove(f'{folder}/{extra}')
    model = PeftModel.from_pretrained(load(), folder).eval()      # what the files say, not what was trained
    golden = json.load(open(f'{HERE}/goldens/{checkpoint}.json'))
    ids, cut = golden['ids'], golden['cut']
    with torch.no_grad():
        result = dict(checkpoint=checkpoint, ids=ids, cut=cut, regular=nlls(model, ids, 0, ids),
                      documents=nlls(model, ids[:cut], 0, ids) + nlls(model, ids[cut:], cut, ids))
    json.dump(result, open(f'{folder}.json', 'w'))


warnings.simplefilter('ignore')
for i, (name, (checkpoint, arguments)) in enumerate(CASES.items()): make(name, checkpoint, arguments, i + 1)

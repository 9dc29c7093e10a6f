"""Train the tiny instruction-following LLM of the digits example from scratch, and test it.

    python build_llm.py --output models/llm --seed 1
    python build_llm.py --output models/llm --test-only

Reads: nothing; the training text is drawn from `world.py` on the fly.
Writes: a Hugging Face folder (LlamaForCausalLM in bfloat16, tokenizer, chat template), and the shares of
exact answers in <output>.scores.json.
"""

import argparse
import json
import math
import random

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import world
from auralign import script
from auralign.files import make_folder_atomically, write_atomically
from build_tokenizer import build_tokenizer
from instructions import Prompts, Request, draw_request

NUM_STEPS = 3000
BATCH_SIZE = 64
PEAK_LR = 2e-3
NUM_WARM_UP_STEPS = 100
NUM_TEST_STRINGS = 40
IGNORED = -100


def build_model(tokenizer, seed):
    """A Llama of about 1.4 million parameters with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=160,
        intermediate_size=432,
        num_hidden_layers=4,
        num_attention_heads=5,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def draw_batch(prompts, rng):
    """Draw examples, half of them with pauses. Returns: token ids and labels (no prompt), both (B, U)."""
    rows = []
    for _ in range(BATCH_SIZE):
        request = draw_request(rng)
        prompt = prompts.prompt_ids(request, rng if rng.random() < 0.5 else None)
        rows.append((prompt, prompts.answer_ids(request)))
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((BATCH_SIZE, longest), prompts.tokenizer.pad_token_id)
    labels = torch.full((BATCH_SIZE, longest), IGNORED)
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return ids, labels


def learning_rate(step, num_steps):
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < NUM_WARM_UP_STEPS:
        return PEAK_LR * (step + 1) / NUM_WARM_UP_STEPS
    progress = (step - NUM_WARM_UP_STEPS) / max(1, num_steps - NUM_WARM_UP_STEPS)
    return PEAK_LR * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(model, prompts, *, seed, num_steps):
    """Train in place with AdamW. Batches are a function of (seed, step)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    steps = tqdm(range(num_steps), desc="train the LLM", unit="step", disable=None)
    for step in steps:
        ids, labels = draw_batch(prompts, random.Random(f"{seed}-{step}"))
        # Padding stands at the end, where causal attention never looks from: no mask is needed.
        hidden = model.model(ids, use_cache=False).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        supervised = targets != IGNORED
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[supervised]), targets[supervised])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, num_steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            steps.set_postfix(loss=f"{loss.item():.3f}")
    model.eval()


@torch.no_grad()
def reply(model, prompts, prompt_ids, *, batch_size=128, max_new_tokens=32):
    """Greedy answers to prompts given as lists of ids. Returns: the answers' texts."""
    answers = []
    for start in range(0, len(prompt_ids), batch_size):
        rows = prompt_ids[start : start + batch_size]
        longest = max(map(len, rows))
        padded = [[prompts.tokenizer.pad_token_id] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        generated = model.generate(
            torch.tensor(padded),
            attention_mask=torch.tensor(mask),
            max_new_tokens=max_new_tokens,
            do_sample=False,
        )
        answers += prompts.tokenizer.batch_decode(generated[:, longest:], skip_special_tokens=True)
    return answers


def draw_tests(rng, num_strings):
    """Requests over strings never trained on. Returns: pairs (what is tested, request)."""
    tests = []
    for name, task in world.TASKS.items():
        for _ in range(num_strings):
            for number, phrasing in enumerate(task.phrasings, start=1):
                digits = world.draw_digits(rng, 2, 7, held_out=True)
                tests.append((f"{name}, phrasing {number}", Request(name, phrasing, tuple(digits))))
            commanded = (task.command, *world.draw_digits(rng, 2, 7, held_out=True))
            tests.append((f"{name}, in the content", Request(None, world.SLOT, commanded)))
            tests.append(
                (
                    "repeat a command",
                    Request("repeat", rng.choice(world.TASKS["repeat"].phrasings), commanded),
                )
            )
            tests.append(
                (
                    "no instruction",
                    Request(None, world.SLOT, tuple(world.draw_digits(rng, 2, 7, held_out=True))),
                )
            )
    return tests


def share_right(model, prompts, tests, rng=None):
    """Share of exact answers for each thing tested; with `rng`, pauses stand in the content."""
    answers = reply(model, prompts, [prompts.prompt_ids(request, rng) for _, request in tests])
    right = {}
    for (what, request), text in zip(tests, answers, strict=True):
        right.setdefault(what, []).append(text == request.reference)
    return {what: sum(outcomes) / len(outcomes) for what, outcomes in right.items()}


def evaluate(folder, *, seed=0, num_strings=NUM_TEST_STRINGS):
    """Load a folder as any user would, in float32, and test it without and with pauses in the content."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    prompts = Prompts(tokenizer)
    tests = draw_tests(random.Random(seed), num_strings)
    return {
        "text": share_right(model, prompts, tests),
        "text with pauses": share_right(model, prompts, tests, random.Random(seed)),
    }


def summarize(scores):
    """Average over phrasings. Returns: what is tested -> view (without, with pauses) -> share right."""
    table = {}
    for view, shares in scores.items():
        for name in world.TASKS:
            phrasings = [share for what, share in shares.items() if what.startswith(f"{name}, phrasing")]
            table.setdefault(name, {})[view] = sum(phrasings) / len(phrasings)
            table.setdefault(f"{name} (spoken command)", {})[view] = shares[f"{name}, in the content"]
        for what in ("no instruction", "repeat a command"):
            table.setdefault(what, {})[view] = shares[what]
    return table


def build_llm(folder, *, seed, num_steps=NUM_STEPS):
    """Make tokenizer and LLM in a temporary folder and rename it to `folder` when it is whole."""
    with make_folder_atomically(folder) as temporary:
        tokenizer = build_tokenizer(temporary)
        model = build_model(tokenizer, seed)
        train(model, Prompts(tokenizer), seed=seed, num_steps=num_steps)
        model.to(torch.bfloat16).save_pretrained(temporary)
    return write_scores(folder)


def write_scores(folder):
    table = summarize(evaluate(folder))
    with write_atomically(f"{folder}.scores.json") as file:
        json.dump(table, file, indent=2)
    return table


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--num-steps", type=int, default=NUM_STEPS)
    parser.add_argument("--test-only", action="store_true", help="test the model that stands there")
    options = parser.parse_args(argv)
    if options.test_only:
        table = write_scores(options.output)
    else:
        table = build_llm(options.output, seed=options.seed, num_steps=options.num_steps)
    for what, shares in table.items():
        print(f"{what:32} " + "  ".join(f"{view} {100 * share:5.1f} %" for view, share in shares.items()))


if __name__ == "__main__":
    script.run(main)

"""Train the tiny instruction-following LLM of the digits example from scratch, and test it.

    python build_llm.py --output models/llm --seed 1
    python build_llm.py --output models/llm --test-only
    python build_llm.py --output models/llm --pauses 0,2,4     test it with so many pauses around each word, and save nothing

Reads: nothing; the training text is drawn from `world.py` on the fly.
Writes: a Hugging Face folder (LlamaForCausalLM in bfloat16, tokenizer, chat template), and the shares of
exact answers in <output>.scores.json.
"""

import argparse
import json
import math
import random
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import world
from auralign import script
from auralign.files import make_folder_atomically, write_atomically
from auralign.progress import Progress
from build_tokenizer import build_tokenizer
from instructions import Prompts, Request, draw_request

NUM_STEPS = 2500
EXAMPLES_PER_STEP = 64
BATCH_SIZE = 16  # in one forward: sorted by length, so that little is padding
PEAK_LR = 2e-3
NUM_WARM_UP_STEPS = 100
MAX_NOISE = 1.5  # times the root mean square of the embeddings' values
LOG_GAINS = (-0.5, 0.7)
SHARE_ROUGH = 0.6  # of the examples, for each of noise and loudness
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


@dataclass(frozen=True)
class Example:
    """Token ids of the three parts of a prompt, and of its answer."""

    before: list[int]
    content: list[int]
    after: list[int]
    answer: list[int]

    def __len__(self):
        return len(self.before) + len(self.content) + len(self.after) + len(self.answer)


def draw_batches(prompts, rng, draw=draw_request, num_examples=EXAMPLES_PER_STEP):
    """Draw the examples of a step, half of them with pauses, and sort them into batches of similar length."""
    examples = []
    for _ in range(num_examples):
        request = draw(rng)
        parts = prompts.prompt_parts(request, rng if rng.random() < 0.5 else None)
        examples.append(Example(*parts, prompts.answer_ids(request)))
    examples.sort(key=len)
    return [examples[first : first + BATCH_SIZE] for first in range(0, len(examples), BATCH_SIZE)]


def collate(batch, pad_token_id):
    """Examples to tensors (B, U): token ids, labels (the answers alone), and a mask of the content."""
    shape = (len(batch), max(map(len, batch)))
    ids, labels = torch.full(shape, pad_token_id), torch.full(shape, IGNORED)
    content = torch.zeros(shape, dtype=torch.bool)
    for row, example in enumerate(batch):
        prompt = example.before + example.content + example.after
        ids[row, : len(example)] = torch.tensor(prompt + example.answer)
        labels[row, len(prompt) : len(example)] = torch.tensor(example.answer)
        content[row, len(example.before) : len(example.before) + len(example.content)] = True
    return ids, labels, content


def roughen(embeddings, content, *, rms, generator):
    """Noise and another loudness for the embeddings of the content, in some of the examples.

    A large LLM takes a vector near a word's for that word; one that has only ever seen exact embeddings goes
    astray on all others, and a connector finds no way to them. Noise on embeddings: NEFTune (arXiv:2310.05914).

    Arguments
    ---------
    embeddings : torch.Tensor (B, U, D)
    content : torch.Tensor (B, U), True at the content
    rms : float, root mean square of the values of the LLM's embeddings
    generator : torch.Generator
    """

    def uniform(low, high):
        return low + (high - low) * torch.rand(len(embeddings), 1, 1, generator=generator)

    noise = rms * uniform(0, MAX_NOISE) * torch.randn(embeddings.shape, generator=generator)
    rough = torch.where(uniform(0, 1) < SHARE_ROUGH, embeddings + noise, embeddings)
    rough = torch.where(uniform(0, 1) < SHARE_ROUGH, rough * uniform(*LOG_GAINS).exp(), rough)
    return torch.where(content.unsqueeze(-1), rough, embeddings)


def learning_rate(step, num_steps, peak=PEAK_LR):
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < NUM_WARM_UP_STEPS:
        return peak * (step + 1) / NUM_WARM_UP_STEPS
    progress = (step - NUM_WARM_UP_STEPS) / max(1, num_steps - NUM_WARM_UP_STEPS)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(
    model,
    prompts,
    *,
    seed,
    num_steps,
    peak_lr=PEAK_LR,
    draw=draw_request,
    examples_per_step=EXAMPLES_PER_STEP,
):
    """Train in place with AdamW on requests that `draw` gives. What is drawn at random is a function of (seed, step)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_lr, betas=(0.9, 0.98), weight_decay=0.01)
    embed = model.get_input_embeddings()
    model.train()
    with Progress("train the LLM", unit="step", total=num_steps) as progress:
        for step in range(num_steps):
            batches = draw_batches(prompts, random.Random(f"{seed}-{step}"), draw, examples_per_step)
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            rms = embed.weight.detach().square().mean().sqrt()
            num_answer_ids = sum(len(example.answer) for batch in batches for example in batch)
            step_loss = 0.0
            optimizer.zero_grad()
            for batch in batches:
                ids, labels, content = collate(batch, prompts.tokenizer.pad_token_id)
                embeddings = roughen(embed(ids), content, rms=rms, generator=generator)
                # Padding is at the end, and causal attention never looks ahead: no mask is needed.
                hidden = model.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state[:, :-1]
                targets = labels[:, 1:]
                supervised = targets != IGNORED
                loss = torch.nn.functional.cross_entropy(
                    model.lm_head(hidden[supervised]), targets[supervised], reduction="sum"
                )
                (loss / num_answer_ids).backward()
                step_loss += loss.item() / num_answer_ids
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, num_steps, peak_lr)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            progress.update(loss=step_loss)
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
    """Share of exact answers for each thing tested; with `rng`, the content has pauses."""
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


@dataclass(frozen=True)
class Even:
    """In place of a `random.Random`: the same number of pauses around every word."""

    number: int

    def randint(self, _low, _high):
        return self.number


def measure_pauses(folder, numbers, *, seed=0, num_strings=NUM_TEST_STRINGS):
    """Load a folder, and test it with a fixed number of pauses in each gap. Returns: number of pauses -> mean share right of the
    tasks that are asked by text instructions.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    prompts = Prompts(tokenizer)
    tests = [test for test in draw_tests(random.Random(seed), num_strings) if "phrasing" in test[0]]
    found = {}
    for number in numbers:
        shares = share_right(model, prompts, tests, Even(number))
        found[number] = sum(shares.values()) / len(shares)
    return found


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


def adapt_llm(folder, *, init, draw, make_prompts=Prompts, **training):
    """Let the LLM in `init` learn other requests, which `draw` gives, and put it in `folder`. `make_prompts` makes the prompts of
    the requests from a tokenizer; `training` are arguments of `train`.
    """
    with make_folder_atomically(folder) as temporary:
        tokenizer = AutoTokenizer.from_pretrained(init, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(init, dtype=torch.float32, local_files_only=True)
        train(model, make_prompts(tokenizer), draw=draw, **training)
        model.to(torch.bfloat16).save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


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
    parser.add_argument("--test-only", action="store_true", help="test the model that is there")
    parser.add_argument(
        "--pauses",
        type=lambda text: [int(number) for number in text.split(",")],
        help="test with so many pauses around each word, such as 0,2,4",
    )
    parser.add_argument(
        "--num-strings", type=int, default=NUM_TEST_STRINGS, help="strings of each task in a test of pauses"
    )
    options = parser.parse_args(argv)
    if options.pauses:
        for number, share in measure_pauses(
            options.output, options.pauses, num_strings=options.num_strings
        ).items():
            print(f"{number} pauses around each word: {100 * share:5.1f} % exact", flush=True)
        return
    if options.test_only:
        table = write_scores(options.output)
    else:
        table = build_llm(options.output, seed=options.seed, num_steps=options.num_steps)
    for what, shares in table.items():
        print(f"{what:32} " + "  ".join(f"{view} {100 * share:5.1f} %" for view, share in shares.items()))


if __name__ == "__main__":
    script.run(main)

"""`auralign bench generate`: tokens that stage 2 writes, against the ways in which others ask transformers.

Every arm gives greedy answers to the same prompts, in fp32 on a CPU. Answers end at lengths that are drawn with a realistic tail,
so that all arms write the same number of tokens; a void row says how many answers differ from those of auralign. Batches wait for
their longest answer: the share of useful decoding steps is counted, and holds on any machine.

Peers: batches of 8 in the order of arrival (BLSP, data_process/asr_text_generation.py:98-143), one by one (Ultravox,
tools/ds_tool/tasks/text_gen_task.py, whose server gets one request at a time), sorted batches of 64 (NeMo,
examples/speechlm2/salm_generate.py), and transformers' own continuous batching.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auralign.bench import SCALES, Row, Settings, against_bar

NUM_PROMPTS, NUM_SLOTS = 128, 64
NUM_OF_BATCHES, NUM_ALONE = 32, 8  # prompts of the slower arms
CAP, MEDIAN_RESPONSE, SPREAD = 256, 64, 0.6  # tokens of an answer
PROMPT = 24, 72  # shortest and longest prompt, in tokens
OURS, EIGHT, ALONE, SORTED, PAGED = (
    "slots",
    "batches of 8",
    "one by one",
    "sorted batches of 64",
    "generate_batch",
)
BARS = {EIGHT: 2.5, ALONE: 6.0, PAGED: 1.1}

Answers = dict[int, tuple[int, ...]]


def measure(settings: Settings) -> Iterator[Row]:
    """The speed of auralign's slots over that of each other way; each way in turn, as often as the settings say."""
    llm = load(settings)
    prompts, limits = draw_requests(llm.vocabulary_size, NUM_PROMPTS)
    some, few = (range(0, NUM_PROMPTS, NUM_PROMPTS // number) for number in (NUM_OF_BATCHES, NUM_ALONE))
    by_length = sorted(range(NUM_PROMPTS), key=lambda row: -len(prompts[row]))
    arms: dict[str, tuple[Sequence[int], Callable[[Sequence[int]], Answers]]] = {
        OURS: (range(NUM_PROMPTS), lambda rows: in_slots(llm, prompts, limits, rows)),
        PAGED: (range(NUM_PROMPTS), lambda rows: in_pages(llm, prompts, limits, rows)),
        EIGHT: (some, lambda rows: in_batches(llm, prompts, limits, rows, 8)),
        SORTED: (by_length[::2], lambda rows: in_batches(llm, prompts, limits, rows, 64)),
        ALONE: (few, lambda rows: in_batches(llm, prompts, limits, rows, 1)),
    }
    rates: dict[str, list[float]] = {name: [] for name in arms}
    answers: dict[str, Answers] = {}
    for _ in range(settings.repeats):
        for name, (rows, arm) in arms.items():
            start = clock(settings)
            answers[name] = arm(rows)
            rates[name].append(sum(limits[row] for row in rows) / (clock(settings) - start))
    ours = statistics.median(rates[OURS])
    yield Row(
        f"stage 2, {NUM_PROMPTS} prompts of {PROMPT[0]} to {PROMPT[1]} tokens, answers of {min(limits)} to {max(limits)} tokens "
        f"(median {statistics.median(limits):.0f}), {NUM_SLOTS} slots",
        f"{ours:,.1f} tokens a second of {'CPU' if settings.device == 'cpu' else 'wall-clock'} time",
    )
    for name in (EIGHT, ALONE, PAGED, SORTED):
        ratios = [one / other for one, other in zip(rates[OURS], rates[name], strict=True)]
        differ = sum(answers[OURS][row] != ids for row, ids in answers[name].items())
        size = {EIGHT: 8, ALONE: 1, SORTED: 64}.get(name)
        useful = (
            f", {share_useful(limits, arms[name][0], size):.0%} of whose steps are useful" if size else ""
        )
        yield Row(
            f"the same against transformers, {name}{useful}",
            f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} runs)",
            against_bar(statistics.median(ratios), BARS[name]) if name in BARS else "",
            void=f"{differ} of {len(answers[name])} answers differ" if differ else "",
        )


def load(settings: Settings) -> Any:
    """An LLM of random weights of a size, or that of a folder, in fp32 on a CPU."""
    from auralign.bench.corpus import SIZES, make_llm
    from auralign.models.llm import load_llm

    dtype = "float32" if settings.device == "cpu" else "bfloat16"
    with tempfile.TemporaryDirectory() as folder:
        path = settings.scale
        if path in SCALES:
            path = str(make_llm(Path(folder), SIZES[path], dtype=dtype))
        return load_llm(path, dtype=dtype).to(settings.device)


def draw_requests(vocabulary: int, number: int) -> tuple[list[list[int]], list[int]]:
    """Prompts of random ids, and the length of the answer to each."""
    random = np.random.default_rng(5)
    prompts = [random.integers(1, vocabulary, random.integers(*PROMPT)).tolist() for _ in range(number)]
    lengths = random.lognormal(np.log(MEDIAN_RESPONSE), SPREAD, number)
    return prompts, np.clip(lengths, 4, CAP).astype(int).tolist()


def share_useful(limits: Sequence[int], rows: Sequence[int], size: int) -> float:
    """Share of the steps of static batches that write a token of an answer that has not ended.

    >>> share_useful([10, 2, 4], range(3), 2)
    0.6666666666666666
    """
    batches = [[limits[row] for row in rows[start : start + size]] for start in range(0, len(rows), size)]
    return sum(map(sum, batches)) / sum(max(batch) * len(batch) for batch in batches)


def in_slots(llm: Any, prompts: list[list[int]], limits: list[int], rows: Sequence[int]) -> Answers:
    """As auralign ships: see `auralign.models.llm.slots`."""
    from auralign.models.llm.slots import Prompt, answer_in_slots

    order = sorted(rows, key=lambda row: -len(prompts[row]))
    asked = (Prompt(llm.embed(prompts[row]), limits[row]) for row in order)
    ended = answer_in_slots(llm, asked, num_slots=NUM_SLOTS, stop_ids=())
    return {order[number]: answer.ids for finished in ended for number, answer in finished}


class _End:
    """A logits processor of transformers that ends each answer at its length."""

    def __init__(self, limits: list[int], stop_id: int):
        self.limits, self.stop_id, self.position = torch.tensor(limits), stop_id, 0

    def __call__(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) in which the stop id is the likeliest of an answer that has its length."""
        ended = (self.limits <= self.position).to(scores.device)
        scores[:, self.stop_id] = scores[:, self.stop_id].masked_fill(ended, torch.inf)
        self.position += 1
        return scores


@torch.no_grad()
def in_batches(
    llm: Any, prompts: list[list[int]], limits: list[int], rows: Sequence[int], size: int
) -> Answers:
    """`model.generate` of prompts that are padded at the left."""
    from transformers import GenerationConfig, LogitsProcessorList

    found: Answers = {}
    stop = llm.vocabulary_size - 1  # any: answers end at their length
    for start in range(0, len(rows), size):
        batch = list(rows[start : start + size])
        longest = max(len(prompts[row]) for row in batch)
        padded = [[stop] * (longest - len(prompts[row])) + prompts[row] for row in batch]
        masks = [[0] * (longest - len(prompts[row])) + [1] * len(prompts[row]) for row in batch]
        of_batch = [limits[row] for row in batch]
        output = llm.model.generate(
            input_ids=torch.tensor(padded, device=llm.device),
            attention_mask=torch.tensor(masks, device=llm.device),
            generation_config=GenerationConfig(
                max_new_tokens=max(of_batch), do_sample=False, eos_token_id=stop, pad_token_id=stop
            ),
            logits_processor=LogitsProcessorList([_End(of_batch, stop)]),
        )
        for row, ids in zip(batch, output[:, longest:].tolist(), strict=True):
            found[row] = tuple(ids[: limits[row]])
    return found


def in_pages(llm: Any, prompts: list[list[int]], limits: list[int], rows: Sequence[int]) -> Answers:
    """transformers' continuous batching, with as many answers at a time and enough pages for them."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    page = 32
    config = ContinuousBatchingConfig(
        page_size=page,
        num_blocks=NUM_SLOTS * -(-(CAP + PROMPT[1]) // page),
        max_batch_tokens=512,
        max_requests_per_batch=NUM_SLOTS,
        use_async_batching=False,
    )
    greedy = GenerationConfig(
        max_new_tokens=CAP, do_sample=False, eos_token_id=-1, pad_token_id=llm.stop_ids[0]
    )
    found: Answers = {}
    with llm.model.continuous_batching_context_manager(
        generation_config=greedy, continuous_batching_config=config
    ) as manager:
        for row in rows:
            manager.add_request(prompts[row], request_id=str(row), max_new_tokens=limits[row])
        for output in manager:
            if output.is_finished():
                found[int(output.request_id)] = tuple(output.generated_tokens)
            if len(found) == len(rows):
                break
    return found


def clock(settings: Settings) -> float:
    """CPU seconds of this process, or seconds of a GPU that has finished."""
    if settings.device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()

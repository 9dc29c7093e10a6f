"""Memory, time and disk of a run, from the sizes of its models and the positions of its examples.

    >>> llm = LLMSizes(7_615_616_512, 2, layers=28, width=3584, inner=18_944, query=3584, vocabulary=152_064)
    >>> round(bytes_per_position(llm) / 28 / 1000)           # kB of a layer of Qwen2.5-7B in bf16
    171

Axes of the formulas: N positions, D width, I inner width of the MLP, Q width of all queries, V vocabulary.
"""

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from auralign.data.batching import epoch_steps, pack
from auralign.data.live_frames import CLIPS_AT_ONCE
from auralign.losses.cross_entropy import MAX_LOGITS
from auralign.plan.positions import Positions, count
from auralign.plan.sizes import LLMSizes, Sizes, measure
from auralign.run_folder import SPLITS

RESERVE = 0.1  # share of the memory that is left free: fragments, and what libraries take
TRAINED_BYTES = 4 + 4 + 8  # of a trained parameter: weight, gradient, and AdamW's two moments, in fp32
TARGET_BYTES = 500  # of a line of targets, beside 4 letters a token
STEPS_LAID_OUT = 50  # steps whose packs are counted


@dataclass(frozen=True)
class Plan:
    """What a run will need; bytes, seconds and operations.

    Arguments
    ---------
    models : dict of str to int
        Parameters: of the LLM, the encoders, and each trained part ("trained: connector").
    data : dict
        By split: utterances, hours, examples, positions (in all, mean, longest), and whether stage 2 counted them.
    training : dict
        Steps, packs a step on each GPU, epochs, positions.
    memory : dict of str to int
        Bytes on each device, by part.
    largest_pack : int
        The largest `tokens_per_pack` that fits; 0 if not even the longest example does.
    available : int
        Bytes of a device's memory.
    operations : dict of str to float
        Floating-point operations of each stage.
    rate : float
        Floating-point operations a second of all devices.
    disk : dict of str to int
        Bytes of what is written.
    """

    models: dict[str, int]
    data: dict[str, dict[str, Any]]
    training: dict[str, float]
    memory: dict[str, int]
    largest_pack: int
    available: int
    operations: dict[str, float]
    rate: float
    disk: dict[str, int]

    @property
    def fits(self) -> bool:
        """Whether the recipe's packs fit into the memory of a device."""
        return sum(self.memory.values()) <= (1 - RESERVE) * self.available

    def seconds(self, stage: str) -> float:
        """The time of a stage at the rate."""
        return self.operations[stage] / self.rate

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **asdict(self),
            "fits": self.fits,
            "seconds": {name: self.seconds(name) for name in self.operations},
        }


def plan(run, *, gpus: int = 1, memory: float | None = None, rate: float | None = None) -> Plan:
    """What a run will need, without loading its models.

    Arguments
    ---------
    run : RunFolder
    gpus : int
        Devices that train together, each with the whole model; default 1.
    memory : float, optional
        Bytes of memory of one device; default: of the device of the recipe on this machine.
    rate : float, optional
        Floating-point operations a second of one device; default: measured on this machine by products of matrices of the LLM's
        shape, which no training reaches.

    Returns Plan.

    Raises FileNotFoundError if stage 1 was not run, ValueError if the config of a model cannot be had.
    """
    recipe = run.recipe
    sizes = measure(recipe)
    data = {split: count(run, split, sizes) for split in SPLITS}
    train = data["train"]
    if not len(train.lengths):
        raise ValueError(f"{run.data.manifest('train')}: holds no utterance to train on")
    longest = int(train.lengths.max())
    available = int(memory or memory_of(recipe.device))
    fixed = fixed_memory(sizes, recipe, data)
    each = bytes_per_position(
        sizes.llm, activations=activation_bytes(recipe, sizes.llm), trains_llm=recipe.train_llm
    )
    room = int(((1 - RESERVE) * available - sum(fixed.values())) // each)
    steps = epoch_steps(train.lengths, tokens_per_step=recipe.tokens_per_step, seed=recipe.seed, epoch=0)
    laid_out = [
        pack(train.lengths[step], max_tokens=recipe.tokens_per_pack) for step in steps[:STEPS_LAID_OUT]
    ]
    positions = recipe.num_steps * float(train.lengths.sum()) / len(steps)
    parameters = {"LLM": sizes.llm.parameters}
    parameters |= {
        f"encoder {name}": sum(weight.numel() for weight in encoder.parameters())
        for name, encoder in sizes.encoders.items()
    }
    return Plan(
        models={**parameters, **{f"trained: {name}": number for name, number in sizes.trained.items()}},
        data={name: describe_data(of_split) for name, of_split in data.items()},
        training={
            "steps": recipe.num_steps,
            "packs_of_a_step": float(np.mean([-(-len(packs) // gpus) for packs in laid_out])),
            "epochs": recipe.num_steps / len(steps),
            "positions": positions,
        },
        memory={**fixed, "activations": max(recipe.tokens_per_pack, longest) * each},
        largest_pack=room if room >= longest else 0,
        available=available,
        operations=operations(recipe, sizes, data, positions=positions),
        rate=gpus * (rate or measured_rate(recipe, sizes.llm)),
        disk=disk(recipe, sizes, data),
    )


def describe_data(found: Positions) -> dict[str, Any]:
    """The facts about a split."""
    return {
        "utterances": len(found.seconds),
        "hours": float(found.seconds.sum() / 3600),
        "examples": len(found.lengths),
        "positions": int(found.lengths.sum()),
        "mean": float(found.lengths.mean()) if len(found.lengths) else 0.0,
        "longest": int(found.lengths.max(initial=0)),
        "are_counted": found.are_counted,
    }


def activation_bytes(recipe, llm: LLMSizes) -> int:
    """Bytes of a value in the LLM's forward: autocast computes in 16 bits whatever the weights are."""
    return 2 if recipe.precision != "fp32" else llm.bytes_per_value


def bytes_per_position(llm: LLMSizes, *, activations: int | None = None, trains_llm: bool = False) -> int:
    """What backward keeps of a position, in all layers.

    A frozen layer keeps, in a type of b bytes: of the MLP the gate, its activation and the up projection (3 b I); of the two
    RMS norms their input in fp32 (8 D); of attention queries, keys, values and outputs (4 b Q; kernels that do not repeat shared
    keys and values keep less). LoRA keeps the input of each adapted module twice, before and after dropout; trained weights
    keep the inputs of all.
    """
    size = activations or llm.bytes_per_value
    layer = 3 * size * llm.inner + 8 * llm.width + 4 * size * llm.query
    if trains_llm:
        layer += size * (llm.inner + 5 * llm.width)
    return llm.layers * layer + 2 * size * llm.adapted


def cast_bytes(recipe, llm: LLMSizes) -> int:
    """Bytes of the copy of a frozen LLM's float32 weights that training holds in 16 bits; see `auralign.models.llm.casting`."""
    is_cast = recipe.device.startswith("cpu") and recipe.precision != "fp32" and llm.bytes_per_value == 4
    if not is_cast or recipe.train_llm or recipe.lora is not None:
        return 0
    return 2 * (llm.parameters - llm.vocabulary * llm.width)


def fixed_memory(sizes: Sizes, recipe, data: dict[str, Positions]) -> dict[str, int]:
    """Bytes on each device that do not grow with the pack, by part."""
    llm = sizes.llm
    longest = max((float(of_split.seconds.max(initial=0)) for of_split in data.values()), default=0.0)
    logits = min(MAX_LOGITS, recipe.tokens_per_pack * llm.vocabulary)
    number_of_copies = 2 if recipe.train_llm else 1  # the original stays
    encoding = 0
    for encoder in sizes.encoders.values():
        window = min(longest, encoder.chunk_seconds or longest)
        # Hidden states, and the inner layer of the MLP: four times as wide.
        frames = CLIPS_AT_ONCE * window * encoder.frames_per_second
        encoding = max(encoding, int(frames * encoder.hidden_width * (4 + 2) * 4))
    return {
        "LLM": llm.parameters * llm.bytes_per_value * number_of_copies + cast_bytes(recipe, llm),
        "encoders": sizes.encoder_bytes,
        "trained parts": sum(sizes.trained.values()) * TRAINED_BYTES
        - (llm.parameters * llm.bytes_per_value if recipe.train_llm else 0),
        "encoding": encoding,
        "logits": 12 * logits * (2 if recipe.method.needs.teacher else 1),
    }


def operations(recipe, sizes: Sizes, data: dict[str, Positions], *, positions: float) -> dict[str, float]:
    """Floating-point operations of stages 2 and 3: 2 for each parameter and position forward, as many for the gradient of a
    position, and as many again for that of trained weights."""
    llm, train = sizes.llm, data["train"]
    passes = 6 if recipe.train_llm else 4
    of_training = float(passes * llm.parameters * positions)
    if recipe.method.needs.teacher:
        of_training += 2.0 * llm.parameters * positions * train.teacher.sum() / max(1, train.lengths.sum())
    encoder = sum(
        2.0 * weight.numel() * one.frames_per_second
        for one in sizes.encoders.values()
        for weight in one.parameters()
    )
    seconds = float(sum(of_split.seconds.sum() for of_split in data.values()))
    if not is_cached(recipe, data):
        epochs = positions / max(1, train.lengths.sum())
        seconds = epochs * float(train.seconds[train.rows].sum())
    found = {"train": of_training, "encode": encoder * seconds}
    if not all(of_split.are_counted for of_split in data.values()):
        asked = sum(int(of_split.teacher.sum()) for of_split in data.values())
        found = {"generate": 2.0 * llm.parameters * asked, **found}
    return found


def is_cached(recipe, data: dict[str, Positions]) -> bool:
    """Whether the frames of the training set are computed once: as `auralign.data.frames.open_frames` decides."""
    size = float(data["train"].frame_bytes.sum()) / 1e9
    return recipe.feature_cache != "off" and size <= recipe.max_cache_gigabytes


def disk(recipe, sizes: Sizes, data: dict[str, Positions]) -> dict[str, int]:
    """Bytes of what stages 2 and 3 write."""
    frames = 0
    if recipe.feature_cache == "disk":
        for of_split in data.values():
            size = int(of_split.frame_bytes.sum())
            frames += size if size <= recipe.max_cache_gigabytes * 1e9 else 0
    tokens = sum(int(of_split.targets.sum()) for of_split in data.values())
    examples = sum(len(of_split.lengths) for of_split in data.values())
    kept = recipe.method.needs.top_k or 0
    return {
        "frames": frames,
        "targets": TARGET_BYTES * examples + 8 * tokens,
        "kept teacher": tokens * (8 * kept + 8) if kept else 0,
        "checkpoints": (recipe.average_checkpoints + 1) * 12 * sum(sizes.trained.values()),
    }


def memory_of(device: str) -> int:
    """Bytes of memory of a device of this machine; of the machine itself if it has none of that name."""
    if device.startswith("cuda") and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(torch.device(device)).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def measured_rate(recipe, llm: LLMSizes) -> float:
    """Operations a second of this machine in products of matrices of the LLM's shape: the best of three."""
    device = recipe.device if not recipe.device.startswith("cuda") or torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if activation_bytes(recipe, llm) == 2 else torch.float32
    one = torch.ones(256, llm.width, dtype=dtype, device=device)
    other = torch.ones(llm.width, llm.inner, dtype=dtype, device=device)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        float((one @ other)[0, 0])  # waits for a GPU
        best = max(best, 2 * one.numel() * llm.inner / (time.perf_counter() - start))
    return best

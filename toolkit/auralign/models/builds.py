"""Builds of one model: how far the weights of an LLM or encoder are from those that a connector was trained with.

A record (`RECORD`, beside the checkpoints and in a model folder) holds of each base its interface and what is measured of its
weights: sampled rows of the embeddings and the logits of a probe, or the frames of a probe. With it `compare_bases` says
whether another build is near enough, and how near; without it only the very same weights are accepted.

Axes: R sampled tokens or frames, C sampled columns, P positions, K sampled logits.
"""

import json
import math
import sys
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from auralign.bases import stored_dtypes
from auralign.files import write_atomically
from auralign.models.identity import Base, tell_difference

RECORD = "bases.safetensors"
FACTS = "bases"  # the entry of its metadata that holds what is not a tensor
PROBE_QUESTION, PROBE_ANSWER = "What is the capital of France?", "The capital of France is the city of Paris"
NUM_TOKENS, NUM_COLUMNS, NUM_POSITIONS, NUM_LOGITS, NUM_FRAMES = 64, 128, 8, 256, 16
PROBE_SECONDS = 1.0
# The largest relative differences at which two builds count as one model. Measured with SmolLM2-135M-Instruct: rounding to
# 4 bits, as GGUF's Q4_1, moves the logits by 0.42, and the embeddings by 0.007 if they have 8 bits, by 0.11 if they have 4;
# rounding to 3 bits moves them by 0.86 and 0.23; loading in bfloat16 moves the logits by 0.02. A light fine-tune may lie within
# the bounds: the stored questions (`auralign.publish.agreement`) show what it changes.
BOUNDS = {"embeddings": 0.15, "logits": 0.75, "frames": 0.25}
WORDS = {"embeddings": "embeddings", "logits": "a probe's logits", "frames": "a probe's frames"}
EPSILON = 1e-6  # of the mean norm: rows below it, such as the embedding of padding, are compared with it


class Part(NamedTuple):
    """An LLM or encoder of a model: its name in records, what it is in words, and its revision or fingerprint."""

    name: str
    words: str
    module: torch.nn.Module
    revision: str

    @property
    def base(self) -> Base | None:
        """What it was loaded from; None for a part of the user's own, whose revision is compared as a text."""
        base = getattr(self.module, "base", None)
        return base if base is not None and base.revision == self.revision else None

    def is_called(self, recorded: str) -> bool:
        """Whether a recorded revision is that of this part, in the form of this auralign or an earlier one."""
        if recorded == self.revision:
            return True
        return self.base is not None and "-" not in recorded and recorded == self.base.earlier_revision

    def measure(self, prompt_ids: list[int] | None) -> dict[str, torch.Tensor]:
        return probe_encoder(self.module) if prompt_ids is None else probe_llm(self.module, prompt_ids)


def parts_of(model) -> list[Part]:
    """The LLM and the encoders of a SpeechLLM."""
    branches = {name: branch.encoder for name, branch in model.branches.items()}
    return [
        llm_part(model.llm),
        Part("encoder", "encoder", model.encoder, model.encoder.fingerprint),
        *(
            Part(f"branch {name}", f"branch {name}'s encoder", encoder, encoder.fingerprint)
            for name, encoder in branches.items()
        ),
    ]


def llm_part(llm) -> Part:
    """The LLM as a part of a model."""
    return Part("llm", "LLM", llm, llm.revision)


def write_record(model, path) -> None:
    """Write the record of a model's bases to a file, unless it is there.

    A record of other bases is replaced: that of a training that was begun with them and never wrote a checkpoint.
    """
    revisions = {part.name: part.base.revision for part in parts_of(model) if part.base is not None}
    if {name: facts["revision"] for name, (facts, _) in read_record(path).items()} == revisions:
        return
    tensors, facts = {}, {}
    for part in parts_of(model):
        if part.base is None:
            continue
        prompt_ids = probe_prompt(part.module) if part.name == "llm" else None
        facts[part.name] = {**part.base.describe(), "prompt_ids": prompt_ids}
        measured = part.measure(prompt_ids)
        if part.base.tokens:
            measured["tokens"] = torch.frombuffer(bytearray(part.base.tokens), dtype=torch.uint8)
        tensors |= {f"{part.name}/{name}": tensor.contiguous() for name, tensor in measured.items()}
    with write_atomically(path, "wb") as file:
        # One entry, as safetensors writes several in any order.
        file.write(save(tensors, metadata={FACTS: json.dumps(facts, sort_keys=True)}))


def read_record(path) -> dict[str, tuple[dict, dict[str, torch.Tensor]]]:
    """Part -> what `write_record` wrote of it: facts and tensors; empty if there is no file, as from an earlier auralign."""
    if not Path(path).is_file():
        return {}
    with safe_open(path, "pt") as opened:
        facts = json.loads((opened.metadata() or {}).get(FACTS, "{}"))
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
    return {
        part: (
            found,
            {
                name.rpartition("/")[2]: tensor
                for name, tensor in tensors.items()
                if name.rpartition("/")[0] == part
            },
        )
        for part, found in facts.items()
    }


def compare_bases(recorded: dict[str, str], model, path, *, what, exact: str = "") -> dict[str, dict]:
    """Compare the LLM and the encoders of a model with those that something was trained with.

    A difference of the interface is refused. Other weights are measured, and refused beyond `BOUNDS`; else one line on stderr
    tells the difference, and so does the attribute `other_builds` of the model, which is written into all answers.

    Arguments
    ---------
    recorded : dict of str to str
        Part ("llm", "encoder", "branch NAME") -> the revision that was recorded; parts that it lacks are not compared.
    model : SpeechLLM
    path : path
        The record of the bases (`write_record`).
    what : str or path
        What was trained, named in messages.
    exact : str
        What for the very weights are needed, such as "export"; default: other builds are accepted.

    Returns dict: part -> {"trained_with", "used", "embeddings", "logits", "frames", "told"} for each that is another build.

    Raises ValueError.
    """
    found: dict[str, dict] = {}
    record = None
    for part in parts_of(model):
        was = recorded.get(part.name)
        if was is None or part.is_called(was):
            continue
        record = read_record(path) if record is None else record
        differences = _differences(part, was, record.get(part.name), what, exact)
        found[part.name] = {
            "trained_with": was,
            "used": part.revision,
            **differences,
            "told": f"another build of the {part.words}, whose {tell(differences)}",
        }
        stored = tell_dtypes(record[part.name][0], part.base)
        print(
            f"{what}: the {part.words} is another build of the one it was trained with: {tell(differences)}{stored}",
            file=sys.stderr,
        )
    model.other_builds = found
    return found


def _differences(part: Part, was: str, recorded, what, exact: str) -> dict[str, float]:
    """How far a part is from the record of the one that something was trained with; ValueError if it is not another build."""
    refusal = f"{what}: was trained with {part.words} {was}, this is {part.revision}"
    repair = "give the one that it was trained with"
    if part.base is None or "-" not in was or was.split("-")[0] != part.revision.split("-")[0]:
        change = ""
        if recorded is not None and part.base is not None:
            facts, tensors = recorded
            tokens = bytes(tensors["tokens"].tolist()) if "tokens" in tensors else b""
            change = tell_difference(facts["interface"], part.base, tokens, name_token=_token_of(part.module))
        raise ValueError(f"{refusal}{change and f' ({change})'}; {repair}")
    if exact:
        raise ValueError(f"{refusal}: another build of the same model (other weights); for {exact}, {repair}")
    if recorded is None:
        raise ValueError(
            f"{refusal}: other weights of the same interface, and no {RECORD} by which they could be compared; {repair}"
        )
    facts, tensors = recorded
    now = part.measure(facts["prompt_ids"])
    differences = {name: relative_difference(tensors[name], tensor) for name, tensor in now.items()}
    if any(value > BOUNDS[name] for name, value in differences.items()):
        raise ValueError(
            f"{refusal}: a model of the same architecture, but not another build of the same one: {tell(differences)}; {repair}"
        )
    return differences


def tell(differences: dict) -> str:
    """Measured differences in words: `embeddings differ by up to 0.5 % (accepted: 20 %), ...`."""
    return ", ".join(
        f"{WORDS[name]} differ by up to {100 * value:.2g} % (accepted: {100 * BOUNDS[name]:g} %)"
        for name, value in differences.items()
        if name in WORDS
    )


def describe_builds(model) -> dict:
    """The record of a model's LLM and encoders that is kept with its answers: revisions, and what is another build."""
    revisions = {part.name: part.revision for part in parts_of(model)}
    other = {"other_builds": model.other_builds} if model.other_builds else {}
    return {"bases": revisions} | other


def tell_dtypes(facts: dict, base: Base) -> str:
    """The dtypes in which two builds are stored, if they differ."""
    was, is_now = facts["dtypes"], stored_dtypes(base.folder)
    return "" if was == is_now else f"; stored in {', '.join(is_now)}, was {', '.join(was)}"


def _token_of(module):
    return lambda number: module.tokenizer.convert_ids_to_tokens(number)


@torch.no_grad()
def probe_llm(llm, prompt_ids: list[int]) -> dict[str, torch.Tensor]:
    """Sampled rows of the original embeddings (R, C), and sampled logits (P, K) at the last positions of a prompt."""
    with llm.original():
        table = llm.model.get_input_embeddings().weight
        rows, columns = _sample(table.shape[0], NUM_TOKENS), _sample(table.shape[1], NUM_COLUMNS)
        positions = torch.arange(len(prompt_ids), device=llm.device)
        hidden = llm.hidden_states(llm.embed(prompt_ids), positions)
        logits = llm.head(hidden[-NUM_POSITIONS:]).float()
    kept = logits[:, _sample(logits.shape[1], NUM_LOGITS)]
    kept = kept - kept.mean(1, keepdim=True)  # a constant that is added to all logits changes nothing
    return {"embeddings": table[rows][:, columns].float().cpu(), "logits": kept.cpu()}


def probe_prompt(llm) -> list[int]:
    """The token ids of the probe: a question and an answer in the LLM's own chat template, if it has one that takes them."""
    tokenizer, question = llm.tokenizer, PROBE_QUESTION
    if tokenizer.chat_template:
        chat = [{"role": "user", "content": PROBE_QUESTION}]
        try:
            question = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        except Exception:  # templates raise anything; the renderer says what is wrong with one
            question = PROBE_QUESTION
    ids = tokenizer(f"{question}{PROBE_ANSWER}", add_special_tokens=False)["input_ids"]
    return ids[-int(min(len(ids), llm.max_positions)) :]


@torch.no_grad()
def probe_encoder(encoder) -> dict[str, torch.Tensor]:
    """Sampled frames (R, C) of a second of rising tones."""
    times = np.arange(int(PROBE_SECONDS * encoder.sample_rate)) / encoder.sample_rate
    tones = sum(np.sin(2 * np.pi * part * (120 * times + 100 * times**2)) / part for part in range(1, 9))
    loudness = 0.1 + 0.1 * np.sin(2 * np.pi * 3 * times)
    frames = encoder([(tones * loudness).astype(np.float32)])[0][0]
    rows = np.unique(np.linspace(0, len(frames) - 1, NUM_FRAMES).astype(int)).tolist()
    return {"frames": frames[rows][:, _sample(frames.shape[1], NUM_COLUMNS)].float().cpu()}


def relative_difference(before: torch.Tensor, now: torch.Tensor) -> float:
    """The largest, over rows, of the norm of the difference divided by the norm before; infinite if it is not finite."""
    if before.shape != now.shape:
        return math.inf
    norms = before.norm(dim=1)
    found = ((now - before).norm(dim=1) / norms.clamp_min(EPSILON * float(norms.mean()) + 1e-30)).max()
    return float(found) if found.isfinite() else math.inf


def _sample(size: int, number: int) -> list[int]:
    """Indices below `size`, the same on every machine."""
    return sorted(Random(size).sample(range(size), min(size, number)))

"""Runs of the parts that speech LLMs of transformers have, without a training."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from auralign.layout import Speech, Text, View
from auralign.models.build import build_model
from auralign.models.llm.packs import LAST
from auralign.publish.native.architectures import ARCHITECTURES
from auralign.publish.native.convert import write_native
from auralign.publish.native.ultravox import write_ultravox
from auralign.recipe import load_recipe
from auralign.testing import make_speech
from recipe import YAML

STRIDE = 2  # of Voxtral: the tiny Whisper is 16 wide, its perceptron 32
INSTRUCTION = "\nsay it again"


def make_yaml(name, *, llm, encoder, more="", changes=()):
    """The YAML of a run that can be exported as an architecture, with some lines replaced."""
    text = YAML.format(method="sift", llm=llm, encoder=encoder, cache="memory")
    text = re.sub(r"^(encoder|connector): .*\n(    .*\n)+", "", text, flags=re.MULTILINE)
    text += ARCHITECTURES[name].yaml(STRIDE).replace("...", str(encoder)) + more
    for before, after in dict(changes).items():
        assert before in text, before
        text = text.replace(before, after)
    return text


@pytest.fixture(scope="session")
def yaml_of():
    return make_yaml


@pytest.fixture
def recipe_of(tmp_path, make_llm, whisper_folder):
    """Load the recipe of `make_yaml`, by default on tiny models."""

    def load(name, kind="llama", **options):
        llm = options.pop("llm", None) or make_llm(kind)
        (tmp_path / "run.yaml").write_text(make_yaml(name, llm=llm, encoder=whisper_folder, **options))
        return load_recipe(tmp_path / "run.yaml")

    return load


@dataclass
class Case:
    """Audio, ids with -1 in place of speech, and the logits (N, V) of the run's own model in fp32."""

    waveform: np.ndarray
    ids: list[int]
    logits: torch.Tensor


@dataclass
class Exported:
    folder: Path
    cases: list[Case]


@pytest.fixture
def exported(tmp_path, recipe_of):
    """Export a model whose trained parts are random."""

    def export(name, kind="llama", *, seconds=(0.31, 2.34567), **options):
        recipe = recipe_of(name, kind, **options)
        model, renderer = build_model(recipe)
        torch.manual_seed(0)
        for parameter in model.parts.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        reference = copy.deepcopy(model).float()
        cases = [read(reference, renderer, make_speech(each, seed=3)) for each in seconds]
        write = write_native if ARCHITECTURES[name].class_name else write_ultravox
        write(tmp_path / "out", ARCHITECTURES[name], recipe, model, renderer)
        return Exported(tmp_path / "out", cases)

    return export


@torch.no_grad()
def read(model, renderer, waveform):
    prompt = renderer.render(View((Speech(""), Text(INSTRUCTION))))
    (speech,), _ = model.listen([prompt], model.encode([waveform]))
    pack = model.pack([prompt], [speech])
    with model.llm.adapting(pack.ids[None] < 0):
        hidden = model.llm.run(pack.embeddings, pack.positions)[LAST]
    return Case(waveform, pack.ids.tolist(), model.llm.head(hidden))

"""Every YAML of every recipe loads, says where its figures are from, can be compared with the others, and builds."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from auralign.generate.targets import draw_choices
from auralign.layout import Response, Speech, Text
from auralign.ledger.recipe import Comparison
from auralign.method import lay_out
from auralign.models.build import build_decoding, build_model, build_recognizer
from auralign.recipe import load_recipe
from auralign.run_folder import RunFolder
from auralign.testing import make_speech, make_tiny_llm, make_tiny_whisper
from auralign.testing.world import KIT

ROOT = Path(__file__).parent.parent.parent / "recipes"
YAMLS = sorted(ROOT.glob("*/hparams/*.yaml"))
SMOKE = "smoke"
METHODS = [path for path in YAMLS if path.stem != SMOKE]
RECIPES = sorted({path.parent.parent.name for path in METHODS})
SOURCE = re.compile(r"arXiv:\d{4}\.\d{5}|https?://\S+\.\S+")


def named(path):
    return f"{path.parent.parent.name}/{path.stem}"


every_yaml = pytest.mark.parametrize("path", YAMLS, ids=named)
every_method = pytest.mark.parametrize("path", METHODS, ids=named)
every_recipe = pytest.mark.parametrize("recipe", RECIPES)


def header(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])


def methods_of(recipe):
    return {path.stem: load_recipe(path) for path in METHODS if path.parent.parent.name == recipe}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The overrides that put tiny models in the place of real ones, on a CPU."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "llm_folder": str(make_tiny_llm(folder / "llm", kind="qwen2")),
        "encoder_folder": str(make_tiny_whisper(folder / "encoder", decoder=True)),
        "device": "cpu",
        "precision": "fp32",
    }


def load_tiny(path, tiny, monkeypatch):
    """The values of a YAML with tiny models: smoke's own, or stand-ins in fp32."""
    if path.stem == SMOKE:
        monkeypatch.chdir(path.parent.parent)  # its folders are told from there
        return load_recipe(path)
    return load_recipe(path, {**tiny, "llm.dtype": "float32", "encoder.dtype": "float32"})


def test_there_are_recipes():
    assert "LibriSpeech" in RECIPES
    assert {"sift", "blsp", "self_powered", "mtbi", "distillation", "transcription", "sit"} <= set(
        methods_of("LibriSpeech")
    )


@every_yaml
def test_yaml_loads_and_its_method_is_named_at_the_top(path):
    hparams = load_recipe(path)
    if path.stem == SMOKE:
        return
    assert path.stem.startswith(hparams.method.name)
    assert path.parent.parent.name in header(path).splitlines()[0]
    assert f"--experiment {path.stem}" in header(path)


@every_method
def test_header_says_where_the_figures_are_from(path):
    assert SOURCE.search(header(path))


@every_yaml
def test_yaml_fits_on_two_screens(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 150


@every_recipe
def test_methods_of_a_recipe_can_be_compared(recipe):
    methods = methods_of(recipe)
    shared = Comparison({name: RunFolder(found) for name, found in methods.items()}, []).recipe
    for name, hparams in methods.items():
        folders = [
            [found.own[key] for key in ("llm_folder", "encoder_folder")] for found in (hparams, shared)
        ]
        assert folders[0] == folders[1], name
        assert build_decoding(hparams) == build_decoding(shared), name


@every_recipe
def test_each_method_of_a_recipe_writes_into_folders_of_its_own(recipe):
    written = defaultdict(list)
    for name, hparams in methods_of(recipe).items():
        assert {hparams.data_folder, hparams.text_folder, hparams.score_folder}.isdisjoint(
            {hparams.output_folder}
        )
        assert name in Path(hparams.output_folder).parts
        written[hparams.output_folder].append(name)
    assert all(len(names) == 1 for names in written.values()), dict(written)


@every_method
def test_a_step_holds_a_pack_or_more_and_warm_up_ends(path):
    hparams = load_recipe(path)
    assert hparams.tokens_per_pack <= hparams.tokens_per_step
    assert hparams.num_warmup_steps < hparams.num_steps
    assert hparams.valid_every <= hparams.num_steps


@every_method
def test_whatever_is_asked_has_speech_in_it(path):
    hparams = load_recipe(path)
    layouts = [
        lay_out(hparams.method, utterance, choice, Response("well", grades=hparams.method.grades_tried[0]))
        for seed in range(20)  # phrasings are drawn
        for utterance in KIT
        for choice in draw_choices(hparams.method, utterance, seed)
    ]
    assert layouts
    for layout in layouts:
        assert any(isinstance(segment, Speech) for segment in layout.student.contents)
        assert not any(
            "{" in segment.text for segment in layout.teacher.contents if isinstance(segment, Text)
        )


@every_yaml
def test_yaml_builds_a_model_that_hears(path, tiny, monkeypatch):
    hparams = load_tiny(path, tiny, monkeypatch)
    model, renderer = build_model(hparams)
    recognizer = build_recognizer(hparams, model.encoder)
    with torch.no_grad():
        frames, lengths = model.encoder([make_speech(1.0)])
        embeddings, counts, _ = model.connector(frames, lengths)
        transcripts = recognizer.transcribe(frames, lengths) if recognizer else []
    assert counts.tolist() == [model.connector.num_embeddings(int(lengths[0]))]
    assert embeddings.shape[0] == 1
    assert embeddings.shape[1] >= counts[0] >= 1
    assert embeddings.shape[2] == model.llm.width
    assert torch.isfinite(embeddings).all()
    assert all(isinstance(transcript, str) for transcript in transcripts)
    assert renderer.frame_hash

"""The YAMLs of the digits example load, agree with each other, and ask what the digits world calls training phrasings."""

from pathlib import Path

import pytest

from auralign.fingerprint import describe
from auralign.recipe import KEYS, load_recipe
from local import world

FOLDER = Path(__file__).parents[3] / "egs" / "digits" / "hparams"
METHODS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OWN = {"method", "output_folder"}
STAGES = {
    "acif": "wav2prompt",
    "acif_distil": "wav2prompt",
    "azeros": "sift",
}  # variants and later stages of a method
# What a method cannot be trained without; all else is the same, so that the ledger compares methods.
NEEDED = {
    "acif": {"connector"},
    "acif_distil": {"connector", "init_from"},
    "azeros": {"branches", "init_from", "frozen", "max_rejected"},
    "blsp_emo": {"lora", "lora_scope"},
    "blsp_kd": {"connector", "lora", "lora_scope"},
    "conditional": {"books", "grade"},
    "in_context": {"train_folder", "train_llm"},
    "interleave": {"train_folder"},
    "desta": {"connector", "lr", "encoder", "text_folder", "score_folder"},
    "internal_alignment": {"connector", "lr"},
    "self_powered": {"connector", "lr", "lora"},
    "tagged": {"books", "mixture"},
    "wav2prompt": {"connector"},
    "word_region": {"train_folder"},  # with others
}


@pytest.mark.parametrize("name", METHODS)
def test_yaml_loads_and_is_named_after_its_method(name):
    assert load_recipe(FOLDER / f"{name}.yaml").method.name == STAGES.get(name, name)


@pytest.mark.parametrize("name", METHODS)
def test_methods_differ_in_nothing_but_the_method_and_what_it_needs(name):
    ours, reference = (load_recipe(FOLDER / f"{one}.yaml") for one in (name, "sift"))
    different = {key for key in KEYS if describe(getattr(ours, key)) != describe(getattr(reference, key))}
    assert different - OWN == NEEDED.get(name, set())


@pytest.mark.parametrize("name", ["sit", "transcription"])
def test_instructions_are_the_training_phrasings_of_repeat(name):
    assert (
        tuple(load_recipe(FOLDER / f"{name}.yaml").method.instructions) == world.TRAINING_PHRASINGS["repeat"]
    )


@pytest.mark.parametrize("name", METHODS)
def test_yaml_fits_on_two_screens(name):
    assert len((FOLDER / f"{name}.yaml").read_text().splitlines()) <= 90

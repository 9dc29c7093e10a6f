"""The YAMLs of the digits example load, agree with each other, and ask what the digits world calls training phrasings."""

from pathlib import Path

import pytest

from auralign.hparams import SCHEMA, load_hparams
from auralign.stage import describe
from local import world

FOLDER = Path(__file__).parents[3] / "egs" / "digits" / "hparams"
METHODS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OWN = {"method", "output_folder"}
ITS_OWN = {"wav2prompt": {"connector"}}  # it cannot be trained with another


@pytest.mark.parametrize("name", METHODS)
def test_yaml_loads_and_is_named_after_its_method(name):
    assert load_hparams(FOLDER / f"{name}.yaml").method.name == name


@pytest.mark.parametrize("name", METHODS)
def test_methods_differ_in_nothing_but_the_method(name):
    ours, reference = (load_hparams(FOLDER / f"{one}.yaml") for one in (name, METHODS[0]))
    for key in SCHEMA.keys() - OWN - ITS_OWN.get(name, set()):
        assert describe(getattr(ours, key)) == describe(getattr(reference, key)), key


@pytest.mark.parametrize("name", ["sit", "transcription"])
def test_instructions_are_the_training_phrasings_of_repeat(name):
    assert (
        tuple(load_hparams(FOLDER / f"{name}.yaml").method.instructions) == world.TRAINING_PHRASINGS["repeat"]
    )


@pytest.mark.parametrize("name", METHODS)
def test_yaml_fits_on_two_screens(name):
    assert len((FOLDER / f"{name}.yaml").read_text().splitlines()) <= 90

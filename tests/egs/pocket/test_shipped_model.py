"""The connector that ships with the pocket example: whole, small, described, and of the widths of the models that it names."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from auralign.publish.model_folder import CARD, constructor_of, read_config
from auralign.train.checkpoint import WEIGHTS

MODEL = Path(__file__).parents[3] / "egs" / "pocket" / "model"
MOST_BYTES = 8 * 2**20
TINY_WIDTH, SMOL_WIDTH = 384, 576  # of whisper-tiny.en and SmolLM2-135M


@pytest.fixture(scope="module")
def config():
    return read_config(MODEL)  # checks the hash of every file


def test_it_has_at_most_8_mib():
    assert sum(path.stat().st_size for path in MODEL.rglob("*")) <= MOST_BYTES


def test_it_names_its_models_by_their_ids_on_the_hub(config):
    ids = {config[part]["with"]["path"] for part in ("llm", "encoder")}
    assert ids == {"HuggingFaceTB/SmolLM2-135M-Instruct", "openai/whisper-tiny.en"}


def test_its_weights_are_those_of_its_connector_and_make_finite_embeddings(config):
    weights = load_file(MODEL / WEIGHTS)
    connector = constructor_of(config["connector"], MODEL / "auralign.json")(TINY_WIDTH, SMOL_WIDTH)
    state = {name.removeprefix("connector."): value.float() for name, value in weights.items()}
    connector.load_state_dict(state)
    embeddings, lengths = connector(torch.randn(1, 100, TINY_WIDTH), torch.tensor([100]))[:2]
    assert embeddings.shape[::2] == (1, SMOL_WIDTH)
    assert 1 <= lengths.item() <= 100
    assert embeddings.isfinite().all()


@pytest.mark.parametrize("about", ["license", "Data", "Limits", "hub weights: not run", "seed"])
def test_its_card_tells(about):
    assert about in (MODEL / CARD).read_text(encoding="utf-8")

"""The model card: what it says, and what it leaves out."""

import pytest

from auralign.publish.export import export
from auralign.publish.model_folder import CARD
from auralign.recipe import load_recipe


def test_the_card_names_parts_method_and_training(recipe):
    card = (recipe / "model" / CARD).read_text()
    for words in ("arXiv:2601.06086", "StackAndProject", "load_whisper", "validation loss", "licence"):
        assert words in card


def test_the_card_of_lora_says_so(adapted):
    card = (adapted / "model" / CARD).read_text()
    assert "the\nconnector and LoRA" in card
    assert '| LoRA | {"r": 2' in card


def test_the_card_tells_nothing_of_this_machine_or_of_the_test_set(recipe):
    report = recipe / "report.md"
    report.write_text("# The gap ledger\n\n## Wrong answers\n\nsecret words\n\n## How it was made\n\nso\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        export(load_recipe("hparams/sift.yaml"), "carded", report=report)
    card = (recipe / "carded" / CARD).read_text()
    assert "\n## The gap ledger\n\n### How it was made\n" in card
    assert "secret words" not in card
    assert str(recipe) not in card


def test_the_card_cuts_paths_of_a_report_and_of_options(recipe):
    report = recipe / "report.md"
    report.write_text("# The gap ledger\n\n- command: `score.py --llm_folder /home/anna/models/llm`\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        export(load_recipe("hparams/sift.yaml"), "cut", report=report)
    card = (recipe / "cut" / CARD).read_text()
    assert "- command: `score.py --llm_folder llm`" in card

"""What an audit will take, before an LLM is loaded."""

import json

import pytest
import torch

from auralign.audit.cost import FRAME_POSITIONS, PASSES, count_parameters, estimate
from auralign.audit.examples import Example


def example(text, response="ok"):
    return Example("f:1", "u", text, None, response, True, lambda said: None)


@pytest.mark.parametrize(("dtype", "stored"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_parameters_of_weights_that_are_not_safetensors_are_those_of_their_size(tmp_path, dtype, stored):
    torch.save({"weight": torch.zeros(1000, 1000, dtype=stored)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"torch_dtype": dtype}))
    assert count_parameters(tmp_path) == pytest.approx(1_000_000, rel=0.01)


def test_a_folder_without_weights_has_no_number_of_parameters(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert count_parameters(tmp_path) is None


def test_a_character_of_a_script_without_spaces_is_a_token(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    latin, chinese = (estimate([example(text, "")], tmp_path).num_positions for text in ("a" * 40, "好" * 40))
    assert (latin, chinese) == (PASSES * (10 + FRAME_POSITIONS), PASSES * (40 + FRAME_POSITIONS))

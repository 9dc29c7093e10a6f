"""Greedy CTC on hand-made logits."""

import json

import pytest
import torch
from safetensors.torch import save_file

from auralign.models.ctc import CTCRecognizer, load_ctc

TOKENS = ["<blank>", "one", "two"]


def identity_head():
    """A head whose logits are its frames."""
    head = torch.nn.Linear(3, 3)
    with torch.no_grad():
        head.weight.copy_(torch.eye(3))
        head.bias.zero_()
    return head


def one_hot(*ids):
    return torch.nn.functional.one_hot(torch.tensor(ids), 3).float()


def test_repeats_collapse_before_blanks_are_removed():
    frames = one_hot(1, 1, 0, 1, 2, 2, 0)[None]
    assert CTCRecognizer(identity_head(), TOKENS).transcribe(frames, torch.tensor([7])) == ["one one two"]


def test_frames_beyond_the_length_are_not_read():
    frames = one_hot(1, 0, 2, 2)[None]
    assert CTCRecognizer(identity_head(), TOKENS).transcribe(frames, torch.tensor([2])) == ["one"]


def test_silence_is_an_empty_transcript():
    frames = torch.stack([one_hot(0, 0), one_hot(0, 2)])
    assert CTCRecognizer(identity_head(), TOKENS).transcribe(frames, torch.tensor([2, 2])) == ["", "two"]


def test_a_saved_head_is_loaded_from_beside_the_encoder(tmp_path):
    save_file(
        {"weight": torch.eye(3).bfloat16(), "bias": torch.zeros(3).bfloat16()},
        tmp_path / "ctc_head.safetensors",
    )
    (tmp_path / "ctc_tokens.json").write_text(json.dumps(TOKENS))
    recognizer = load_ctc(tmp_path, 3)
    assert recognizer.transcribe(one_hot(0, 2, 1)[None], torch.tensor([3])) == ["two one"]
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())


def test_a_folder_without_a_head_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no ctc_head.safetensors in"):
        load_ctc(tmp_path, 3)


def test_a_head_for_another_width_is_refused(tmp_path):
    save_file({"weight": torch.eye(3), "bias": torch.zeros(3)}, tmp_path / "ctc_head.safetensors")
    (tmp_path / "ctc_tokens.json").write_text(json.dumps(TOKENS))
    with pytest.raises(ValueError, match="width 3, the encoder's have 8"):
        load_ctc(tmp_path, 8)

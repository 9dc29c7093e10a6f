"""Checkpoints are whole or absent; best and last are kept."""

from types import SimpleNamespace

import pytest
import torch

from auralign.train.checkpoint import Checkpoints


def save(checkpoints, step, valid_loss):
    module = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(module.weight, step)
    checkpoints.save(module, {"step": step}, {"step": step, "valid_loss": valid_loss})


def steps(folder):
    return sorted(int(path.name.split("_")[1]) for path in folder.iterdir())


def test_best_and_last_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, loss in [(1, 3.0), (2, 1.0), (3, 2.0), (4, 1.5)]:
        save(checkpoints, step, loss)
    assert steps(tmp_path) == [2, 4]
    assert checkpoints.best().step == 2
    assert checkpoints.last().step == 4


def test_earlier_of_two_equals_is_best(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, 1.0)
    save(checkpoints, 2, 1.0)
    assert checkpoints.best().step == 1


@pytest.mark.parametrize("name", ["trainable.safetensors", "optimiser.pt", "checkpoint.json", "hashes.json"])
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, name, capsys):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, 1.0)
    save(checkpoints, 2, 2.0)
    file = tmp_path / "step_00000002" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert checkpoints.last().step == 1
    assert "do not match" in capsys.readouterr().err


def test_half_written_checkpoint_is_not_one(tmp_path):
    (tmp_path / "step_00000009.tmp").mkdir()
    assert Checkpoints(tmp_path).last() is None


def test_weights_come_back(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 7, 1.0)
    model = SimpleNamespace(parts=torch.nn.Linear(1, 1))
    checkpoints.last().load_weights(model)
    assert model.parts.weight.item() == 7.0
    assert checkpoints.last().load_optimiser() == {"step": 7}


def test_best_of_none_names_the_stage(tmp_path):
    with pytest.raises(FileNotFoundError, match="run stage 3"):
        Checkpoints(tmp_path).best()

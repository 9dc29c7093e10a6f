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


def test_the_last_ones_are_kept_beside_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, num_last=3)
    for step, loss in [(1, 1.0), (2, 3.0), (3, 2.5), (4, 2.0), (10, 1.5)]:
        save(checkpoints, step, loss)
    assert steps(tmp_path) == [1, 3, 4, 10]


def test_the_mean_of_the_last_ones_by_hand(tmp_path):
    checkpoints = Checkpoints(tmp_path, num_last=3)
    for step, loss in [(1, 1.0), (2, 3.0), (4, 2.0), (9, 1.5)]:
        save(checkpoints, step, loss)
    model = SimpleNamespace(parts=torch.nn.Linear(1, 1))
    chosen = checkpoints.chosen(3)
    chosen.load_weights(model)
    assert model.parts.weight.item() == 5.0  # (2 + 4 + 9) / 3
    assert (chosen.averaged_steps, chosen.step, chosen.valid_loss) == ((2, 4, 9), 9, None)


def test_one_is_the_best_one(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, loss in [(1, 1.0), (2, 3.0)]:
        save(checkpoints, step, loss)
    assert checkpoints.chosen(1).step == 1
    assert checkpoints.chosen(1).averaged_steps == ()


def test_a_checkpoint_whose_loss_is_not_finite_is_in_no_mean(tmp_path):
    checkpoints = Checkpoints(tmp_path, num_last=3)
    for step, loss in [(1, 2.0), (2, 1.0), (3, float("nan"))]:
        save(checkpoints, step, loss)
    assert checkpoints.chosen(2).averaged_steps == (1, 2)
    with pytest.raises(ValueError, match=r"keeps 2 \(step 1, 2; 1 without a finite validation loss\)"):
        checkpoints.chosen(3)


def test_a_mean_of_more_than_are_kept_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, loss in [(1, 2.0), (2, 1.0)]:
        save(checkpoints, step, loss)
    with pytest.raises(ValueError, match=r"average_checkpoints: 3, but .* keeps 2 \(step 1, 2\).*--restart"):
        checkpoints.chosen(3)


def test_the_mean_of_bf16_weights_is_computed_in_fp32(tmp_path):
    checkpoints = Checkpoints(tmp_path, num_last=3)
    for step in (1, 2, 3):
        module = torch.nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
        torch.nn.init.constant_(module.weight, 256.0 + 2 * step)  # a sum of three has no bf16 of its own
        checkpoints.save(module, {}, {"step": step, "valid_loss": 1.0})
    weight = checkpoints.chosen(3).weights()["weight"]
    assert (weight.dtype, weight.item()) == (torch.bfloat16, 260.0)


def test_if_the_last_is_the_best_the_one_before_is_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, loss in [(1, 3.0), (2, 2.0), (3, 1.0)]:
        save(checkpoints, step, loss)
    assert steps(tmp_path) == [2, 3]
    (tmp_path / "step_00000003" / "trainable.safetensors").write_bytes(b"damaged")
    assert checkpoints.best().step == 2


def test_one_without_a_validation_is_kept_until_the_next(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, loss in [(1, 3.0), (2, 2.0), (3, None)]:
        save(checkpoints, step, loss)
    assert (steps(tmp_path), checkpoints.best().step, checkpoints.last().step) == ([1, 2, 3], 2, 3)
    save(checkpoints, 4, 4.0)
    assert steps(tmp_path) == [2, 4]


def test_what_a_killed_run_left_of_a_removed_checkpoint_is_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        save(checkpoints, step, 4.0 - step)
    left = tmp_path / "step_00000001"
    left.mkdir()
    (left / "trainable.safetensors").touch()
    checkpoints.remove_others()
    assert steps(tmp_path) == [2, 3]

"""Numbered versions of targets and trainings, and the pointer to the current one."""

import pytest

from auralign.files import hash_path, write_json
from auralign.stage import Stage
from auralign.versions import choose_targets, current_targets, target_folders, trained_on, trainings

NAMES = ("generate train", "generate valid")


def generate(output, value, *, restart=False):
    """A stage 2 whose targets say of what value they are; returns their folder."""
    inputs = {name: {"temperature": value} for name in NAMES}
    folder = choose_targets(output, inputs, restart=restart)
    for name in NAMES:
        path = folder / f"{name.split()[1]}.jsonl"
        with Stage(name, folder, inputs=inputs[name], outputs=[path], protected=trained_on(output)) as stage:
            if not stage.complete:
                path.write_text(f"{name} {value}")
    target_folders(output).make_current(folder)
    return folder


def train(output, version=""):
    """A checkpoint that says which targets it was trained on."""
    targets = [hash_path(current_targets(output) / f"{split}.jsonl") for split in ("train", "valid")]
    write_json(output / version / "checkpoints" / "step_1" / "checkpoint.json", {"targets": targets})


def test_targets_that_nothing_was_trained_on_are_replaced(tmp_path):
    for value in (1, 2):
        assert generate(tmp_path, value) == tmp_path / "targets"
    assert generate(tmp_path, 3, restart=True) == tmp_path / "targets"


@pytest.mark.parametrize("version", ["", "train_2", "before_1"])
def test_targets_that_were_trained_on_get_a_new_version(tmp_path, version):
    generate(tmp_path, 1)
    train(tmp_path, version)
    with pytest.raises(ValueError, match=r"temperature 1 -> 2"):
        generate(tmp_path, 2)
    assert generate(tmp_path, 1) == generate(tmp_path, 1, restart=True) == tmp_path / "targets"
    assert generate(tmp_path, 2, restart=True) == current_targets(tmp_path) == tmp_path / "targets_2"
    train(tmp_path, "train_3")
    assert generate(tmp_path, 3, restart=True) == tmp_path / "targets_3"
    for value, folder in ((1, "targets"), (2, "targets_2"), (3, "targets_3")):
        assert generate(tmp_path, value) == current_targets(tmp_path) == tmp_path / folder
        assert (tmp_path / folder / "train.jsonl").read_text() == f"generate train {value}"


def test_a_version_that_a_kill_left_half_done_is_continued(tmp_path):
    generate(tmp_path, 1)
    train(tmp_path)
    (tmp_path / "targets_2").mkdir()
    Stage(NAMES[0], tmp_path / "targets_2", inputs={"temperature": 2}, outputs=[]).__enter__()
    assert current_targets(tmp_path) == tmp_path / "targets"
    assert generate(tmp_path, 2, restart=True) == tmp_path / "targets_2"


def test_numbers_are_read_as_numbers_and_other_names_are_not(tmp_path):
    for name in ("train_2", "train_10", "train_old", "train_3.txt"):
        (tmp_path / name).mkdir()
    (tmp_path / "train_12").touch()
    versions = trainings(tmp_path)
    assert versions.all() == [tmp_path / "train_10", tmp_path / "train_2", tmp_path]
    new = versions.choose(has_inputs=lambda version: False, may_change=lambda version: False)
    assert new == tmp_path / "train_11"


def test_the_first_version_can_become_the_current_one_again(tmp_path):
    versions = trainings(tmp_path)
    versions.make_current(tmp_path / "train_2")
    versions.make_current(tmp_path)
    assert versions.current == tmp_path
    assert (tmp_path / "train.current").read_text() == ".\n"

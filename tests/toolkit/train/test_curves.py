"""Weights & Biases is asked only if the recipe says so, and gets the points of TensorBoard. A fake module takes its place."""

import sys
from types import SimpleNamespace

import pytest

from auralign.train.curves import Curves, WandbRun


@pytest.fixture
def wandb(monkeypatch):
    """A fake of the package, which keeps what it is given."""
    fake = SimpleNamespace(started=[], points=[], finished=0)

    def finish():
        fake.finished += 1

    def init(**options):
        fake.started.append(options)
        return SimpleNamespace(define_metric=lambda *_, **__: None, log=fake.points.append, finish=finish)

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_each_point_goes_to_wandb_with_its_step(wandb, tmp_path):
    curves = Curves(tmp_path / "curves", step=0, wandb=WandbRun(name="sift seed_1", config={"lr": 0.1}))
    curves.add({"train/loss": 0.5}, 3)
    curves.close()
    assert wandb.points == [{"step": 3, "train/loss": 0.5}]
    assert (wandb.started[0]["name"], wandb.started[0]["config"]) == ("sift seed_1", {"lr": 0.1})
    assert wandb.started[0]["dir"] == str(tmp_path / "curves")
    assert wandb.finished == 1


def test_a_continued_training_goes_on_with_its_run_and_a_new_one_begins_another(wandb, tmp_path):
    for step in (0, 5, 0):
        Curves(tmp_path / "curves", step=step, wandb=WandbRun(name="a", config={})).close()
    first, continued, new = (options["id"] for options in wandb.started)
    assert first == continued != new


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"pip install 'auralign\[wandb\]'"):
        WandbRun(name="a", config={})


def test_a_run_that_cannot_start_says_how_to_work_offline(wandb, tmp_path):
    def fail(**options):
        raise RuntimeError("no API key")

    wandb.init = fail
    with pytest.raises(ValueError, match="no API key; give WANDB_MODE=offline"):
        Curves(tmp_path / "curves", step=0, wandb=WandbRun(name="a", config={}))

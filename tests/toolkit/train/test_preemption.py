"""A training that a signal stops writes a checkpoint within one step, and goes on to the same bits."""

import os
import signal

import pytest

from auralign.train.brain import AlignmentBrain
from auralign.train.checkpoint import Checkpoints
from auralign.train.preemption import StoppedBySignal
from recipe import make_recipe, run_script


@pytest.fixture(scope="module")
def untrained(make_llm, whisper_folder, tmp_path_factory):
    """The folder of a recipe whose targets are written: 10 steps, a validation after each 4."""
    folder = make_recipe(
        tmp_path_factory.mktemp("recipe") / "r", llm=make_llm("llama"), encoder=whisper_folder
    )
    run_script(folder, "generate.py", "hparams/sift.yaml")
    return folder


def train(folder, output, **options):
    return run_script(
        folder, "train.py", "hparams/sift.yaml", "--output_folder", str(output), check=False, **options
    )


@pytest.fixture(scope="module")
def prepared(untrained, tmp_path_factory):
    """Makes output folders that hold the targets alone."""
    import shutil

    def make(place):
        shutil.copytree(untrained / "exp" / "sift", place)
        return place

    return make


def contents(output):
    return {
        path.relative_to(output): path.read_bytes()
        for path in sorted((output / "checkpoints").rglob("*"))
        if path.is_file()
    } | {"log": (output / "log.json").read_bytes()}


@pytest.fixture(scope="module")
def whole(untrained, prepared, tmp_path_factory):
    output = prepared(tmp_path_factory.mktemp("whole") / "sift")
    assert train(untrained, output).returncode == 0
    return contents(output)


def send_at(monkeypatch, hook, step, number):
    """Send this process a signal when the hook of the brain is called at a step, once."""
    real, sent = getattr(AlignmentBrain, hook), []

    def hooked(self, *arguments, **options):
        if self.optimizer_step == step and not sent:
            sent.append(step)
            os.kill(os.getpid(), number)
        return real(self, *arguments, **options)

    monkeypatch.setattr(AlignmentBrain, hook, hooked)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize(
    ("hook", "step", "written"),
    [
        ("terms", 1, 2),
        ("terms", 3, 4),
        ("terms", 5, 6),
        ("evaluate_batch", 4, 4),
        ("terms", 9, 10),
        ("evaluate_batch", 10, 10),
    ],
)
def test_a_signal_saves_the_step_and_the_training_goes_on_to_the_same_bits(
    untrained, prepared, whole, tmp_path, monkeypatch, number, hook, step, written
):
    output = prepared(tmp_path / "sift")
    with monkeypatch.context() as patch:
        send_at(patch, hook, step, number)
        found = train(untrained, output)
    assert found.returncode == 75
    assert f"{number.name}: stopped" in found.stderr
    last = Checkpoints(output / "checkpoints").last()
    assert (last.step, last.valid_loss) == (written, None)
    assert train(untrained, output).returncode == 0
    assert contents(output) == whole


def test_two_signals_in_one_stretch_change_nothing(untrained, prepared, whole, tmp_path, monkeypatch):
    output = prepared(tmp_path / "sift")
    for step in (4, 6):
        with monkeypatch.context() as patch:
            send_at(patch, "terms", step, signal.SIGTERM)
            assert train(untrained, output).returncode == 75
    assert train(untrained, output).returncode == 0
    assert contents(output) == whole


def test_a_signal_before_the_first_step_ends_the_run_with_the_same_code(
    untrained, prepared, tmp_path, monkeypatch
):
    import auralign.models.build

    monkeypatch.setattr(
        auralign.models.build, "build_model", lambda recipe: os.kill(os.getpid(), signal.SIGTERM)
    )
    mark = tmp_path / "stopped"
    monkeypatch.setenv("AURALIGN_STOPPED", str(mark))
    found = train(untrained, prepared(tmp_path / "sift"))
    assert found.returncode == 75
    assert "before the first step" in found.stderr
    assert mark.exists()


def test_a_finished_run_gives_the_signals_back(untrained, prepared, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train(untrained, prepared(tmp_path / "sift"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_checkpoint_without_a_validation_is_never_the_best(untrained, prepared, tmp_path, monkeypatch):
    output = prepared(tmp_path / "sift")
    with monkeypatch.context() as patch:
        send_at(patch, "terms", 1, signal.SIGTERM)
        train(untrained, output)
    with pytest.raises(FileNotFoundError, match="no validated checkpoint.*stopped at step 2"):
        Checkpoints(output / "checkpoints").best()


def test_the_exception_is_no_error_of_a_part():
    assert not issubclass(StoppedBySignal, Exception)

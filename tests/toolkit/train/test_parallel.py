"""Training in several ranks gives what it gives in one, and ends as one."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

import ranks
from auralign.files import read_json
from auralign.train import parallel, torchrun
from auralign.train.checkpoint import Checkpoints
from ranks import Fault
from recipe import LORA, make_recipe, run_script


@pytest.fixture(scope="module")
def untrained(make_llm, whisper_folder, tmp_path_factory):
    """The folder of a recipe whose targets are written; its LoRA has dropout."""
    folder = make_recipe(
        tmp_path_factory.mktemp("recipe") / "r",
        llm=make_llm("llama"),
        encoder=whisper_folder,
        cache="disk",
        more=LORA,
    )
    run_script(folder, "generate.py", "hparams/sift.yaml")
    return folder


@pytest.fixture
def recipe(untrained, tmp_path):
    return shutil.copytree(untrained, tmp_path / "r")


@pytest.fixture(scope="module")
def whole(untrained, tmp_path_factory):
    """The recipe, trained by one process."""
    folder = shutil.copytree(untrained, tmp_path_factory.mktemp("whole") / "r")
    train(folder, 1)
    return folder


def train(folder, num_ranks, *arguments):
    codes, said = ranks.train(folder, num_ranks, *arguments)
    assert codes == [0] * num_ranks, "\n".join(said)
    return said


def check_same_training(folder, other):
    """Weights, losses and answers of all validations, as far as rounding goes."""
    log, expected = (read_json(place / "exp" / "sift" / "log.json") for place in (folder, other))
    assert [entry["answers"] for entry in log] == [entry["answers"] for entry in expected]
    for name in ("step", "train_loss", "valid_loss"):
        assert [entry[name] for entry in log] == pytest.approx([entry[name] for entry in expected], rel=1e-5)
    weights, theirs = (
        load_file(Checkpoints(place / "exp" / "sift" / "checkpoints").last().folder / "trainable.safetensors")
        for place in (folder, other)
    )
    torch.testing.assert_close(weights, theirs, rtol=1e-5, atol=1e-5)


def test_two_ranks_train_what_one_does(recipe, whole):
    said = train(recipe, 2)
    check_same_training(recipe, whole)
    assert said[0].count("step 4: train loss") == 1
    assert said[1] == ""


def test_ranks_without_packs_add_nothing(untrained, recipe, tmp_path):
    alone = shutil.copytree(untrained, tmp_path / "alone")
    one_pack_a_step = ("--tokens_per_step", "90", "--num_steps", "4")
    train(alone, 1, *one_pack_a_step)
    train(recipe, 3, *one_pack_a_step)
    check_same_training(recipe, alone)


def test_training_goes_on_with_another_number_of_ranks(recipe, whole):
    for num_ranks, step in ((1, 5), (2, 9)):
        codes, said = ranks.train(recipe, num_ranks, fault=Fault("error", rank=0, step=step))
        assert 2 in codes, said
    train(recipe, 3)
    check_same_training(recipe, whole)


def test_one_process_skips_what_two_ranks_completed_and_two_what_one_did(recipe, whole, tmp_path):
    skipped = "train: already complete for these inputs, skipped\n"
    train(recipe, 2)
    assert train(recipe, 1) == [skipped]
    assert train(shutil.copytree(whole, tmp_path / "whole"), 2) == [skipped, ""]


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_on_one_rank_is_told_once_and_ends_all(recipe, rank):
    codes, said = ranks.train(recipe, 2, fault=Fault("error", rank=rank, step=2))
    assert codes[rank] == 2
    assert codes[1 - rank] == 1
    assert said[rank].endswith("train.py: error: this rank is broken\n")
    assert "error" not in said[1 - rank].lower()


def test_a_rank_that_is_killed_is_missed_in_one_line(recipe):
    codes, said = ranks.train(recipe, 2, fault=Fault("SIGKILL", rank=1, step=2))
    assert codes == [2, -9]
    assert said[0].endswith(
        "train.py: error: rank 0: another process of this training has ended without a word, as if it was killed; run the same "
        "command again to go on\n"
    )
    assert "Traceback" not in said[0]


def test_an_error_that_all_ranks_meet_is_told_once(recipe):
    codes, said = ranks.train(recipe, 2, "--lr", "much")
    assert sorted(codes) == [1, 2]
    assert "".join(said) == "train.py: error: hparams/sift.yaml: --lr much: expected float\n"


def test_a_loss_that_is_not_finite_on_one_rank_skips_the_step_on_all(untrained, recipe, tmp_path):
    alone = shutil.copytree(untrained, tmp_path / "alone")
    ranks.train(alone, 1, fault=Fault("nan", rank=0, step=2))
    codes, said = ranks.train(recipe, 2, fault=Fault("nan", rank=1, step=2))
    assert codes == [0, 0]
    assert said[0].count("step 3: loss or gradient is not finite, skipped") == 1
    check_same_training(recipe, alone)


def test_a_signal_to_one_rank_saves_the_step_and_ends_all(recipe, whole):
    codes, said = ranks.train(recipe, 2, fault=Fault("SIGTERM", rank=1, step=2))
    assert codes == [75, 75]
    assert said[0].count("SIGTERM: stopped after step 3") == 1
    assert said[1] == ""
    assert Checkpoints(recipe / "exp" / "sift" / "checkpoints").last().step == 3
    train(recipe, 2)
    check_same_training(recipe, whole)


def run_torchrun(folder, *arguments):
    command = [sys.executable, "-m", "auralign.train.torchrun", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, "train.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=ranks.SECONDS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_torchrun_adds_nothing_to_what_a_rank_said(tmp_path):
    (tmp_path / "train.py").write_text(
        "import os, sys, time\n"
        "if os.environ['RANK'] == '1':\n"
        "    print('train.py: error: no lr', file=sys.stderr)\n"
        "    sys.exit(2)\n"
        "time.sleep(60)\n"
    )
    found = run_torchrun(tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (2, "", "train.py: error: no lr\n")


def test_torchrun_names_a_process_that_was_killed(monkeypatch, capsys):
    def fail(options):
        raise ChildFailedError("train", {1: ProcessFailure(1, 4711, -9, "<N/A>")})

    monkeypatch.setattr("torch.distributed.run.run", fail)
    monkeypatch.setattr(torchrun.logging, "disable", lambda level: None)
    assert torchrun.main(["train.py"]) == 137
    assert capsys.readouterr().err == (
        "train.py: error: process 1 was ended by SIGKILL; run the same command again to go on\n"
    )


def test_torchrun_starts_the_ranks(recipe, whole):
    found = run_torchrun(recipe, "hparams/sift.yaml")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("lowest validation loss") == 1
    check_same_training(recipe, whole)


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(parallel, "_is_joined", lambda: True)
    monkeypatch.setattr(parallel.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(parallel.distributed, "get_world_size", lambda: 2)


def test_packs_are_dealt_in_turn(second_of_two):
    assert list(parallel.own("abcde")) == ["b", "d"]


def test_gradients_and_losses_are_summed_and_what_has_no_gradient_keeps_none(second_of_two, monkeypatch):
    # As if the other rank had twice as much.
    monkeypatch.setattr(parallel.distributed, "all_reduce", lambda flat: flat.mul_(3))
    used, unused = torch.nn.Parameter(torch.ones(2, 1)), torch.nn.Parameter(torch.ones(3))
    used.grad = torch.tensor([[1.0], [2.0]])
    loss = parallel.sum_gradients([used, unused], torch.tensor(0.5))
    assert (used.grad.tolist(), unused.grad, float(loss)) == ([[3.0], [6.0]], None, 1.5)


@pytest.mark.parametrize(("name", "own"), [("cpu", "cpu"), ("cuda", "cuda:1"), ("cuda:0", "cuda:1")])
def test_each_rank_has_a_gpu_of_its_own(second_of_two, name, own):
    assert parallel.own_device(name) == own


def test_ranks_refuse_to_share_one_gpu(second_of_two):
    with pytest.raises(ValueError, match="device 'cuda:2': 2 processes cannot share it; give cuda"):
        parallel.own_device("cuda:2")


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:2"])
def test_without_torchrun_the_device_is_the_recipes(name):
    assert parallel.own_device(name) == name


def test_an_llm_shared_out_over_two_ranks_trains_as_a_whole_one_which_can_go_on(untrained, tmp_path):
    # The LoRA of this recipe would be trained within the layers.
    places = [shutil.copytree(untrained, tmp_path / name) for name in ("whole", "shared")]
    for place in places:
        yaml = place / "hparams" / "sift.yaml"
        yaml.write_text(yaml.read_text().replace(LORA, ""))
    train(places[0], 1)
    codes, said = ranks.train(places[1], 2, "--shard_llm", "true", fault=Fault("error", rank=0, step=5))
    assert 2 in codes
    assert "2 layers are shared out over 2 ranks" in said[0]
    train(places[1], 1)  # goes on with a whole LLM from the checkpoint
    check_same_training(places[1], places[0])


def test_layers_that_are_trained_are_not_shared_out(recipe):
    codes, said = ranks.train(recipe, 2, "--shard_llm", "true")
    assert sorted(codes) == [1, 2]
    assert "shard_llm: lora trains weights of the layers" in "".join(said)

"""A run that cannot be lost: what a changed key does to a training that has begun, and that nothing trained is removed."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from auralign.files import read_json, write_json
from auralign.recipe import FIXED, KEYS, NOTED, SAME, STEPS
from auralign.train.brain import AlignmentBrain
from auralign.train.checkpoint import Checkpoints
from auralign.train.resume import differences
from auralign.versions import current_checkpoints, current_targets, trainings
from recipe import contents, make_recipe, run, run_script

YAML = "hparams/sift.yaml"
CHECKPOINTS = Path("exp/sift/checkpoints")
NUM_STEPS, REACHED = 10, 8  # of the recipe, and the last checkpoint of the run that was interrupted


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_llm, whisper_folder):
    """A recipe run to the end of stage 3."""
    folder = make_recipe(tmp_path_factory.mktemp("whole") / "r", llm="models/llm", encoder="models/encoder")
    shutil.copytree(make_llm("llama"), folder / "models" / "llm")
    shutil.copytree(whisper_folder, folder / "models" / "encoder")
    (folder / "mine.py").write_text(
        "from auralign.models.connectors import StackAndProject\nfrom auralign.models.encoders import load_whisper\n"
        "from auralign_methods.sift import SIFT\nimport peft\n\n"
        "def make_lora():\n    return peft.LoraConfig(r=2, target_modules=['q_proj'])\n\n"
        "def grade(utterance, target):\n    return {}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in ("generate.py", "train.py"):
            succeed(script)
    return folder


@pytest.fixture(scope="module")
def interrupted(whole, tmp_path_factory):
    """The recipe, stopped between its checkpoint at step 8 and its end."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("interrupted") / "r")
    for path in folder.glob("exp/sift/*.json"):
        path.unlink()
    shutil.rmtree(folder / CHECKPOINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stop_at(patch, REACHED + 1)
        assert run("train.py", YAML)[0] == 130
    return folder


@pytest.fixture(params=["interrupted", "whole"])
def begun(request, tmp_path, monkeypatch):
    """A copy of either, and the present folder."""
    monkeypatch.chdir(shutil.copytree(request.getfixturevalue(request.param), tmp_path / "r"))
    return request.param


@pytest.fixture
def stopped(interrupted, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(interrupted, tmp_path / "r"))
    return tmp_path / "r"


@pytest.fixture
def finished(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(whole, tmp_path / "r"))
    return tmp_path / "r"


@pytest.fixture(scope="module")
def once_restarted(whole, tmp_path_factory):
    """The finished recipe, trained once more with another rate."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("restarted") / "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed("train.py", "--lr", "3e-4", "--restart")
    return folder


def stop_at(patch, step):
    real = AlignmentBrain.fit_batch

    def fit_batch(self, packs):
        if self.optimizer_step == step:
            raise KeyboardInterrupt
        return real(self, packs)

    patch.setattr(AlignmentBrain, "fit_batch", fit_batch)


def succeed(script, *arguments):
    code, out, err = run(script, YAML, *arguments)
    assert code == 0, out + err
    return out + err


def refuse(*arguments, script="train.py"):
    """The one line with which the stage stops."""
    code, out, err = run(script, YAML, *arguments)
    assert code == 2, out + err
    (line,) = err.strip().splitlines()
    return line


def files(folder=CHECKPOINTS):
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def weights(folder="."):
    return (Checkpoints(Path(folder) / CHECKPOINTS).last().folder / "trainable.safetensors").read_bytes()


def last():
    return Checkpoints(CHECKPOINTS).last().description


def edit(old, new):
    text = Path(YAML).read_text()
    assert old in text
    Path(YAML).write_text(text.replace(old, new))


def end(line):
    Path(YAML).write_text(Path(YAML).read_text() + line + "\n")


OPTIONS = {  # another value of each key that the command line takes
    "seed": "2",
    "system_prompt": "be brief",
    "lora_scope": "speech",
    "train_llm": "true",
    "init_from": "exp/other",
    "lr": "3e-4",
    "num_warmup_steps": "3",
    "weight_decay": "0.1",
    "max_grad_norm": "2",
    "tokens_per_step": "201",
    "precision": "bf16",
}
LINES = {  # and of the others, with what the line of the error says of it
    "method": (lambda: edit("    name: sift\n", "    name: sift\n    views: [s, sp]\n"), r"method\.options\.views"),
    "llm": (lambda: edit("path: models/llm", "path: models/other"), r"llm\.path models/llm -> models/other"),
    "encoder": (lambda: end("    layers: [1]") or reorder(), r"encoder\.layers null -> \[1\]"),
    "connector": (lambda: edit("stride: 8", "stride: 4"), r"connector\.stride 8 -> 4"),
    "template_options": (lambda: end("template_options: {thinking: false}"), r"template_options\.thinking null -> false"),
    "lora": (lambda: end("lora: !name:mine.make_lora"), r"lora null -> \{"),
    "branches": (lambda: end("branches:\n    voice:\n        encoder: !name:mine.load_whisper"), r"branches\.voice null -> \{"),
    "heads": (lambda: end("heads:\n    pitch: !name:torch.nn.Linear"), r"heads\.pitch null -> \{"),
    "optimizer": (lambda: end("optimizer: !name:torch.optim.SGD"), r"optimizer\.call torch\.optim\.AdamW -> torch\.optim\.SGD"),
    "lr_scheduler": (
        lambda: end("lr_scheduler: !name:transformers.get_linear_schedule_with_warmup"),
        r"lr_scheduler\.call transformers\.get_cosine_\w+ -> transformers\.get_linear_\w+",
    ),
    "books": (lambda: end("books:\n    style: !name:auralign.models.books.Tags {names: [good]}"), r"books\.style null -> \{"),
    "grade": (lambda: end("grade: !name:mine.grade"), r"grade null -> \{"),
    "keep": (lambda: end("keep: {seconds: [0, 9]}"), r"keep\.seconds null -> \[0, 9\]"),
    "mixture": (lambda: end("mixture: [{share: 1.0}]"), r"mixture \[\] -> \[\{\"share\": 1.0\}\]"),
    "sampling": (lambda: end("sampling: {by: language, alpha: 0.5}"), r"sampling\.by null -> language"),
    "order": (lambda: end("order: kept"), r"order shuffled -> kept"),
    "frozen": (lambda: end("frozen: [connector]"), r"frozen \[\] -> \[\"connector\"\]"),
}  # fmt: skip


def reorder():
    """Move the line at the end of the YAML to the encoder's arguments."""
    *lines, last_line = Path(YAML).read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "load_whisper" in line)
    Path(YAML).write_text("\n".join([*lines[: place + 1], last_line, *lines[place + 1 :]]) + "\n")


def test_every_key_that_makes_another_run_is_tried():
    assert {*OPTIONS, *LINES} == {name for name, key in KEYS.items() if key.change == FIXED}


def check_refused(line, said, before):
    assert re.search(said, line), line
    assert line.startswith("train.py: error: exp/sift holds a run, trained to step ")
    assert "give this one another output_folder, or --restart" in line
    assert files() == before


@pytest.mark.parametrize("key", OPTIONS)
def test_another_run_is_refused_and_nothing_is_lost(begun, key):
    shutil.copytree("exp/sift", "exp/other")
    Path("exp/other/.train.done.json").touch()  # as if it were finished
    Path("exp/other/.train.started.json").unlink(missing_ok=True)
    before = files()
    old = last().get(key)
    told = "null" if old is None else str(old).lower() if isinstance(old, bool) else str(old)
    new = str(float(OPTIONS[key])) if key in ("lr", "weight_decay", "max_grad_norm") else OPTIONS[key]
    said = rf"{key} {told} -> {'[0-9a-f]{8}' if key == 'init_from' else new}[,;]"
    check_refused(refuse(f"--{key}", OPTIONS[key]), said, before)
    if begun == "interrupted":
        succeed("train.py")  # as it was: goes on
    assert "already complete" in succeed("train.py")


@pytest.mark.parametrize("key", LINES)
def test_another_part_is_refused_and_nothing_is_lost(stopped, key):
    shutil.copytree("models/llm", "models/other")
    Path("models/other/modeling_own.py").touch()  # its content differs: a copy would be the same LLM
    before = files()
    LINES[key][0]()
    check_refused(refuse(), LINES[key][1], before)


def test_a_moved_llm_goes_on(stopped, whole):
    Path("models/llm").rename("models/other")
    LINES["llm"][0]()
    succeed("train.py")
    assert weights() == weights(whole)


def edit_file(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data/train.jsonl", r"manifests\[0\] \w{8} -> \w{8}"),
        ("exp/sift/targets/valid.jsonl", r"targets\[1\] \w{8} -> "),
    ],
)
def test_changed_data_is_another_run(begun, path, said):
    before = files()
    edit_file(path, "\n", " \n" if path.startswith("exp") else "\n")
    Path(path).write_text(Path(path).read_text().replace('"seconds": ', '"seconds":  '))
    Path(path).write_text(Path(path).read_text().replace('"key": ', '"key":  '))
    check_refused(refuse(), said, before)


NOTED_VALUES = {
    "device": "cpu:0",
    "tokens_per_pack": "60",
    "valid_every": "3",
    "feature_cache": "off",
    "max_cache_gigabytes": "5",
    "encode_batch_seconds": "3",
}


def test_every_key_of_which_a_history_is_kept_is_tried():
    assert set(NOTED_VALUES) == {name for name, key in KEYS.items() if key.change == NOTED}


@pytest.mark.parametrize("key", NOTED_VALUES)
def test_a_noted_key_goes_on_and_is_recorded(stopped, key):
    old = last()[key]
    said = succeed("train.py", f"--{key}", NOTED_VALUES[key])
    new = type(old)(NOTED_VALUES[key])
    line = f"continuing from step {REACHED} with {key} {old} -> {new}; recorded in the checkpoints"
    assert line in said
    assert last()["step"] == NUM_STEPS
    assert last()["history"] == [{"step": REACHED, "changed": {key: [old, new]}}]


@pytest.mark.parametrize("key", NOTED_VALUES)
def test_a_finished_run_stays_under_a_noted_key(finished, key):
    before = files()
    assert "train: already complete for these inputs, skipped" in succeed(
        "train.py", f"--{key}", NOTED_VALUES[key]
    )
    assert files() == before


def test_a_history_goes_on(stopped, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 9)
        assert run("train.py", YAML, "--valid_every", "1")[0] == 130
    succeed("train.py", "--tokens_per_pack", "60")
    assert [entry["step"] for entry in last()["history"]] == [8, 9]
    assert last()["history"][1]["changed"] == {"tokens_per_pack": [100, 60], "valid_every": [1, 4]}


SAME_VALUES = {
    "num_shown": "0",
    "decode_max_new_tokens": "3",
    "decode_batch_size": "1",
    "generate_batch_size": "1",
    "max_rejected": "0.9",
    "trust_remote_code": "true",
    "text_folder": "exp/elsewhere",
    "max_new_tokens": "7",  # of stage 2: what it changes comes with the targets
    "feature_cache": "disk",  # the same frames as in memory
    "restart": "true",
}


@pytest.mark.parametrize("key", SAME_VALUES)
def test_a_key_that_training_does_not_depend_on_goes_on_bit_for_bit(stopped, whole, key):
    said = succeed("train.py", f"--{key}", SAME_VALUES[key])
    assert f"continuing from step {REACHED}\n" in said
    assert weights() == weights(whole)
    assert "history" not in last()


def test_what_is_no_input_of_training_is_in_the_class_of_such():
    assert all(key.change == SAME for name, key in KEYS.items() if name.startswith(("decode_", "generate_")))


def rate(step, num_steps):
    """Half a cosine behind two steps of warm-up, to 1e-2: the recipe's."""
    progress = torch.tensor((step - 2) / (num_steps - 2), dtype=torch.float64)
    return float(1e-2 * 0.5 * (1 + torch.cos(torch.pi * progress)))


def test_more_steps_go_on_with_the_rates_of_the_new_schedule(begun, monkeypatch):
    rates = []
    real = AlignmentBrain._draw

    def draw(self, values):
        rates.extend(values[name] for name in values if name == "lr")
        real(self, values)

    monkeypatch.setattr(AlignmentBrain, "_draw", draw)
    reached = last()["step"]
    said = succeed("train.py", "--num_steps", "14")
    assert f"continuing from step {reached} with num_steps 10 -> 14" in said
    assert rates == pytest.approx([rate(step, 14) for step in range(reached, 14)])
    assert (last()["step"], last()["num_steps"]) == (14, 14)
    assert last()["history"] == [{"step": reached, "changed": {"num_steps": [10, 14]}}]
    assert [entry["step"] for entry in read_json("exp/sift/log.json")][-1] == 14
    assert "already complete" in succeed("train.py", "--num_steps", "14")


def test_fewer_steps_go_on_while_they_are_not_reached(stopped):
    succeed("train.py", "--num_steps", "9")
    assert last()["step"] == 9


@pytest.mark.parametrize("arguments", [("--num_steps", "4"), ("--num_steps", "7")])
def test_fewer_steps_than_are_reached_are_refused(begun, arguments):
    before, step = files(), last()["step"]
    line = refuse(*arguments)
    assert (
        f"num_steps 10 -> {arguments[1]}; give num_steps {step} or more, or this one another output_folder, or --restart"
        in line
    )
    assert files() == before


def test_a_run_that_cannot_start_costs_nothing(finished):
    before = files()
    code, _, err = run("train.py", YAML, "--num_steps", "20", "--device", "cuda:77")
    assert (code, "device 'cuda:77'" in err) == (2, True)
    assert files() == before
    assert "already complete" in succeed("train.py")


def test_a_restart_trains_beside_the_old_run(begun):
    before = contents("exp")
    said = succeed("train.py", "--lr", "3e-4", "--restart")
    assert "train: later stages now read exp/sift/train_2" in said
    assert contents("exp").items() >= before.items()
    assert trainings("exp/sift").all() == [Path("exp/sift/train_2"), Path("exp/sift")]
    assert current_checkpoints("exp/sift") == Path("exp/sift/train_2/checkpoints")
    description = Checkpoints("exp/sift/train_2/checkpoints").last().description
    assert (description["lr"], description["step"], "history" in description) == (3e-4, NUM_STEPS, False)
    assert "train: already complete" in succeed("train.py", "--lr", "3e-4")  # without --restart
    assert "lr 0.0003 -> 0.01" in refuse()


def test_restarts_get_numbers_and_find_what_was_trained_before(finished, capsys):
    succeed("train.py", "--lr", "3e-4", "--restart", "true")
    second = files("exp/sift/train_2")
    succeed("train.py", "--lr", "3e-5", "--restart", "true")
    assert files("exp/sift/train_2") == second
    assert current_checkpoints("exp/sift").parent == Path("exp/sift/train_3")
    for arguments, folder in ((("--lr", "3e-4"), "exp/sift/train_2"), ((), "exp/sift")):
        assert "already complete" in succeed("train.py", *arguments, "--restart")
        assert current_checkpoints("exp/sift").parent == Path(folder)
    assert files("exp/sift/train_2") == second


def test_until_a_restart_is_finished_the_old_run_is_in_use(finished, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 6)
        assert run("train.py", YAML, "--lr", "3e-4", "--restart")[0] == 130
    assert "decode speech" in succeed("decode.py")
    assert "train: already complete" in succeed("train.py")
    assert "continuing from step 4" in succeed("train.py", "--lr", "3e-4", "--restart")
    assert "already complete" in succeed("train.py", "--lr", "3e-4", "--restart")
    assert not Path("exp/sift/train_3").exists()


def test_the_command_that_shows_the_curves_is_printed(finished):
    said = succeed("train.py", "--lr", "3e-4", "--restart")
    (folder,) = re.findall(r"^curves: tensorboard --logdir (\S+)$", said, re.M)
    assert list(Path(folder).glob("events.out.tfevents.*"))


def test_a_restart_that_cannot_start_costs_nothing(begun):
    before = contents("exp")
    code, _, err = run("train.py", YAML, "--lr", "3e-4", "--device", "cuda:77", "--restart")
    assert (code, "device 'cuda:77'" in err) == (2, True)
    assert contents("exp") == before
    succeed("train.py")
    succeed("train.py", "--lr", "3e-4", "--restart")
    assert trainings("exp/sift").all() == [Path("exp/sift/train_2"), Path("exp/sift")]


@pytest.mark.parametrize(
    "moved", ["exp/sift/before_1", None], ids=["of an earlier auralign", "the first version"]
)
def test_a_version_that_is_not_the_current_one_can_be_trained_from(finished, moved):
    if moved:  # as an earlier auralign moved it
        Path(moved).mkdir()
        for name in (".train.done.json", "log.json", "curves", "checkpoints"):
            Path("exp/sift", name).rename(Path(moved, name))
    succeed("train.py", "--lr", "3e-4", "--restart")
    more = ("--output_folder", "exp/next")
    succeed("generate.py", *more)
    checkpoints = f"{moved or 'exp/sift'}/checkpoints/"
    assert f"initialised from {checkpoints}" in succeed(
        "train.py", *more, "--init_from", moved or checkpoints
    )


def test_a_run_without_its_marks_is_known_by_its_checkpoints(begun, whole):
    for mark in Path("exp/sift").glob(".train*"):
        mark.unlink()
    before = files()
    check_refused(refuse("--lr", "3e-4"), r"lr 0\.01 -> 0\.0003", before)
    succeed("train.py")
    assert weights() == weights(whole)


@pytest.mark.parametrize(
    "change", [lambda: Path("exp/sift/log.json").unlink(), lambda: (CHECKPOINTS / "notes.txt").touch()]
)
def test_a_finished_run_whose_files_were_touched_keeps_its_checkpoints(finished, change):
    before = files()
    change()
    succeed("train.py")
    assert before.items() <= files().items()
    assert Path("exp/sift/log.json").is_file()


def test_a_checkpoint_of_an_earlier_auralign_goes_on(stopped, whole):
    lacking = [*NOTED_VALUES, "ranks", "frozen", "heads", "init_from", "weight_decay"]
    for folder in CHECKPOINTS.glob("step_*"):
        description = read_json(folder / "checkpoint.json")
        write_json(folder / "checkpoint.json", {k: v for k, v in description.items() if k not in lacking})
        hashes = read_json(folder / "hashes.json")
        from auralign.files import hash_path

        write_json(
            folder / "hashes.json", {**hashes, "checkpoint.json": hash_path(folder / "checkpoint.json")}
        )
    assert f"continuing from step {REACHED}\n" in succeed("train.py")
    assert weights() == weights(whole)
    assert "weight_decay 0.0 -> 0.1" in refuse("--weight_decay", "0.1")


def test_another_version_of_auralign_goes_on_and_is_recorded():
    (found,) = differences({"auralign": "0.1"}, {"auralign": "0.2"})
    assert (found.change, str(found)) == (NOTED, "auralign 0.1 -> 0.2")
    assert KEYS["num_steps"].change == STEPS


def test_targets_that_were_trained_on_are_never_replaced(finished):
    before = contents("exp")
    line = refuse("--max_new_tokens", "3", script="generate.py")
    assert (
        "trained on exp/sift/targets/train.jsonl, which this run would replace: max_new_tokens 8 -> 3; "
        in line
    )
    assert "another output_folder, or --restart" in line
    assert contents("exp") == before


def test_a_restart_writes_targets_of_its_own_and_trains_on_them(finished, monkeypatch):
    before = contents("exp")
    shorter = ("--max_new_tokens", "3", "--restart")
    succeed("generate.py", *shorter)
    assert "already complete" in succeed("generate.py", *shorter)
    assert current_targets("exp/sift") == Path("exp/sift/targets_2")
    assert "targets[0]" in refuse("--max_new_tokens", "3")
    succeed("train.py", *shorter)
    succeed("decode.py", *shorter)
    now = contents("exp")
    assert now.items() >= {k: v for k, v in before.items() if "hypotheses" not in k}.items()
    assert now["sift/targets_2/train.jsonl"] != before["sift/targets/train.jsonl"]
    assert "already complete" in succeed("generate.py")  # and back again, without asking or training
    assert "already complete" in succeed("train.py", "--restart")
    assert current_targets("exp/sift") == Path("exp/sift/targets")
    assert current_checkpoints("exp/sift") == CHECKPOINTS


def test_targets_that_were_edited_and_trained_on_stay(finished):
    path = Path("exp/sift/targets/train.jsonl")
    edit_file(path, '"seed": 1', '"seed":  1')
    succeed("train.py", "--restart")
    edited = path.read_bytes()
    assert "which this run would replace: an output was changed; " in refuse(script="generate.py")
    succeed("generate.py", "--restart")
    assert current_targets("exp/sift") == Path("exp/sift/targets_2")
    assert path.read_bytes() == edited


@pytest.mark.parametrize("moment", [("replace", 1), ("replace", 10), ("unlink", 2)])
def test_a_restart_that_is_killed(finished, once_restarted, moment):
    """What was finished stays, and the same command again ends in the files of an unbroken restart."""
    before = contents("exp")
    command = ("train.py", YAML, "--lr", "3e-4", "--restart")
    assert run_script(finished, *command, killed_at=moment, check=False).returncode == 137
    assert contents("exp").items() >= before.items()
    assert "already complete" in succeed("train.py")
    run_script(finished, *command)
    assert contents("exp") == contents(once_restarted / "exp")


def test_the_card_tells_under_which_changes_the_run_went_on(stopped):
    from auralign.publish.export import export
    from auralign.recipe import load_recipe

    succeed("train.py", "--device", "cpu:0", "--num_steps", "12")
    export(load_recipe(YAML), "model")
    history = json.loads(Path("model/auralign.json").read_text())["history"]
    assert history == [{"step": 8, "changed": {"device": ["cpu", "cpu:0"], "num_steps": [10, 12]}}]
    card = Path("model/README.md").read_text()
    assert "| changed on the way | at step 8: device cpu -> cpu:0, num_steps 10 -> 12 |" in card


def test_the_mean_of_the_last_checkpoints_answers(finished):
    succeed("train.py", "--lr", "3e-4", "--average_checkpoints", "2", "--restart")
    said = succeed("decode.py", "--lr", "3e-4", "--average_checkpoints", "2")
    assert "weights: the mean of the checkpoints at the steps 8, 10" in said
    code, _, err = run("decode.py", YAML, "--lr", "3e-4", "--average_checkpoints", "7")
    assert (code, "average_checkpoints: 7, but" in err) == (2, True)

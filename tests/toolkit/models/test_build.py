"""A template that prints the date: what was begun one day goes on the next, bit for bit, and is used the day after."""

import dataclasses
import datetime
import json
import os

import pytest
import torch

import auralign
from auralign.files import hash_path
from auralign.marks import DONE, mark_path
from auralign.models import build
from auralign.models.build import build_llm, check_parts, describe_parts
from auralign.models.llm import load_llm
from auralign.publish.export import export
from auralign.publish.model_folder import CONFIG, HASHES
from auralign.recipe import load_recipe
from auralign.records import Hypothesis, Records, Target
from auralign.testing import make_tiny_llm
from auralign.testing.tiny.llm import CHATML
from recipe import contents, make_recipe, run_script

DAY = datetime.date.today()
# As Llama 3.2's, which takes a date_string, and as Mistral's, which takes none.
DATE_STRING = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}'
    "{%- endif %}{%- endif %}<|im_start|>system\nToday: {{ date_string }}<|im_end|>\n" + CHATML
)
NO_ARGUMENT = "{%- set day = strftime_now('%-d/%m/%Y') %}<|im_start|>system\n{{ day }}<|im_end|>\n" + CHATML


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """The folder of a tiny LLM whose template prints the date."""
    return make_tiny_llm(tmp_path_factory.mktemp("llm") / "dated", chat_template=DATE_STRING)


@pytest.fixture
def on(monkeypatch):
    """Let it be so many days later."""

    def be(days):
        for module in ("auralign.render.renderer", "auralign.models.build"):
            monkeypatch.setattr(f"{module}.today", lambda: DAY + datetime.timedelta(days=days))

    return be


def stopping_at(nth):
    """`os.fsync` that is interrupted at its nth call."""
    calls, real = [], os.fsync

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == nth:
            raise KeyboardInterrupt
        real(descriptor)

    return fsync


@pytest.fixture(scope="module")
def at_once(tmp_path_factory, dated, whisper_folder):
    """A recipe run to stage 4 in one day."""
    folder = make_recipe(tmp_path_factory.mktemp("at_once") / "r", llm=dated, encoder=whisper_folder)
    for script in ("generate.py", "train.py", "decode.py"):
        run_script(folder, script, "hparams/sift.yaml")
    return folder


def test_what_was_interrupted_goes_on_another_day_bit_for_bit(
    tmp_path, at_once, dated, whisper_folder, on, monkeypatch
):
    folder = make_recipe(tmp_path / "r", llm=dated, encoder=whisper_folder)
    for days, (script, nth) in enumerate([("generate.py", 5), ("train.py", 12), ("decode.py", 4)]):
        on(days)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", stopping_at(nth))
            assert run_script(folder, script, "hparams/sift.yaml", check=False).returncode == 130
        on(days + 1)
        run_script(folder, script, "hparams/sift.yaml")
    assert contents(folder / "exp") == contents(at_once / "exp")
    on(9)
    monkeypatch.chdir(folder)
    export(load_recipe("hparams/sift.yaml"), "model")
    on(400)
    said = [hypothesis.text for hypothesis in Records("exp/sift/hypotheses/test.speech.jsonl", Hypothesis)]
    assert auralign.load("model").answer("data/test-0.flac", "repeat {speech}") == said[0]


def test_a_finished_stage_is_finished_on_another_day(at_once, on):
    on(1)
    for script in ("generate.py", "train.py", "decode.py"):
        found = run_script(at_once, script, "hparams/sift.yaml")
        assert "already complete" in found.stdout
        assert not found.stderr


def test_the_date_is_recorded_with_what_was_made(at_once, monkeypatch):
    monkeypatch.chdir(at_once)
    for file in ("exp/sift/targets/train.jsonl", "exp/text/hypotheses/test.text.jsonl"):
        header = json.loads((at_once / file).read_text().splitlines()[0])
        assert header["about"]["date"] == DAY.isoformat()
    (best, *_) = sorted((at_once / "exp/sift/checkpoints").glob("step_*/checkpoint.json"))
    assert json.loads(best.read_text())["prompts"]["date"] == DAY.isoformat()


def test_another_method_of_the_recipe_asks_under_the_same_date(at_once, on, monkeypatch):
    monkeypatch.chdir(at_once)
    on(3)
    hparams = load_recipe("hparams/sift.yaml")
    assert build_llm(dataclasses.replace(hparams, output_folder="exp/other"))[1].date == DAY.isoformat()


def test_files_that_record_no_date_are_read_on_another_day(tmp_path, dated, whisper_folder, on, monkeypatch):
    folder = make_recipe(tmp_path / "r", llm=dated, encoder=whisper_folder)
    run_script(folder, "generate.py", "hparams/sift.yaml")
    for split in ("train", "valid"):  # as an older auralign wrote them
        path = folder / "exp/sift/targets" / f"{split}.jsonl"
        header, *lines = path.read_text().splitlines(keepends=True)
        path.write_text('{"schema": "Target", "version": 1}\n' + "".join(lines))
        done = mark_path(path.parent, f"generate {split}", DONE)
        mark = json.loads(done.read_text())
        mark["outputs"][str(mark.pop("names").index(path.name))] = hash_path(path)
        done.write_text(json.dumps(mark))
    on(3)
    run_script(folder, "train.py", "hparams/sift.yaml")
    for path in (folder / "exp/sift/checkpoints").glob("step_*/checkpoint.json"):
        assert json.loads(path.read_text())["prompts"]["date"] == DAY.isoformat()
    monkeypatch.chdir(folder)
    export(load_recipe("hparams/sift.yaml"), "model")
    config = json.loads((folder / "model" / CONFIG).read_text())
    del config["prompts"], config[HASHES]
    (folder / "model" / CONFIG).write_text(json.dumps(config))
    on(40)
    assert auralign.load("model").renderer.date == DAY.isoformat()


@pytest.mark.parametrize("template", [DATE_STRING, NO_ARGUMENT])
def test_the_search_for_a_date_goes_back_to_the_right_one(template, dated, on):
    on(0)
    llm = load_llm(dated)
    llm.tokenizer.chat_template = template
    made = build.make_renderer(llm, None, {})
    on(70)
    assert build.make_renderer(llm, None, {}).frame_hash != made.frame_hash
    found = build.make_renderer(llm, None, {}, prompts={"frame_hash": made.frame_hash})
    assert (found.frame_hash, found.date) == (made.frame_hash, DAY.isoformat())


def test_a_date_that_the_recipe_gives_is_no_date_of_the_day(dated, on):
    llm = load_llm(dated)
    options = {"date_string": "26 Jul 2024"}
    on(0)
    one = build.make_renderer(llm, None, options)
    on(1)
    assert build.make_renderer(llm, None, options).frame_hash == one.frame_hash
    assert one.date is None


def test_a_mismatch_names_the_piece_of_the_frame(at_once, dated, monkeypatch):
    monkeypatch.chdir(at_once)
    hparams = load_recipe("hparams/sift.yaml")
    model, renderer = build.build_model(hparams)
    before = describe_parts(hparams, model, renderer)
    renderer = renderer.on(DAY + datetime.timedelta(days=31))
    with pytest.raises(
        ValueError, match=r"the date was '.*', is '.*'; before the user's words .* was '.*Today: "
    ):
        check_parts(before, describe_parts(hparams, model, renderer), checkpoint="here")


def test_targets_of_another_frame_name_the_piece(tmp_path, dated, whisper_folder):
    folder = make_recipe(tmp_path / "r", llm=dated, encoder=whisper_folder)
    run_script(folder, "generate.py", "hparams/sift.yaml")
    yaml = folder / "hparams" / "sift.yaml"
    yaml.write_text(yaml.read_text() + "template_options:\n    date_string: tomorrow\n")
    found = run_script(folder, "train.py", "hparams/sift.yaml", check=False)
    assert found.returncode == 2
    assert "is '<|im_start|>system\\nToday: tomorrow<|im_end|>" in found.stderr
    assert len(Records(folder / "exp/sift/targets/train.jsonl", Target))


@pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor cannot flush denormal numbers"
)
def test_denormal_numbers_count_as_zero_once_a_model_is_built(
    tmp_path, make_llm, whisper_folder, monkeypatch
):
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder)
    monkeypatch.chdir(folder)
    torch.set_flush_denormal(False)
    try:
        assert (torch.tensor([1e-39]) * 1.0).item() > 0
        build_llm(load_recipe("hparams/sift.yaml"))
        assert (torch.tensor([1e-39]) * 1.0).item() == 0
    finally:
        torch.set_flush_denormal(False)

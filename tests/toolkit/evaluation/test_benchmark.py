"""The benchmark as a whole, of a model whose answers are known, so that every measure is computed by hand."""

import json
import random

import numpy as np
import pytest
import soundfile
import torch

from auralign import cli
from auralign.adapters import OtherModel, Reply
from auralign.evaluation import sources
from auralign.evaluation.benchmark import evaluate_benchmark
from auralign.generalisation import digits
from auralign.layout import SLOT
from auralign.models import recognizers
from auralign.records import Utterance, write_records

NUM_SPEAKERS, STEP = 10, 0.02
SEEN_WORDING = "sort {speech}"
IN_LANGUAGE = {"spanish": digits.SPANISH, "german": digits.GERMAN}


def obey(task, said):
    """The right answer to a task about digits."""
    values = digits._TABLE[task][2](digits.find_digits(said))
    return " ".join(IN_LANGUAGE.get(task, digits.ENGLISH)[value] for value in values)


class Known(OtherModel):
    """Obeys text; with speech the trained wording, other wordings of `sort` for speakers 0 to 4, other tasks for 0 and 1."""

    name = short_name = "known"
    batch_size = 50

    def __init__(self, texts, beside):
        self.texts, self.beside = texts, beside  # texts by the loudness of the recording
        self.heard = 0

    def identity(self):
        return "1"

    def answer(self, prompts):
        return [Reply(self._answer(prompt), "stop") for prompt in prompts]

    def _answer(self, prompt):
        if prompt.speech is None:
            for task in digits.TASKS.values():
                for before, _, after in (wording.partition(SLOT) for wording in task.phrasings):
                    if prompt.before.startswith(before) and prompt.before.endswith(after):
                        said = prompt.before[len(before) : len(prompt.before) - len(after)]
                        if digits.find_digits(said):
                            return obey(task.name, said)
            raise AssertionError(prompt)
        self.heard += 1
        number = round(float(np.abs(prompt.speech).max()) / STEP)
        speaker, wording = number // 2, f"{prompt.before}{SLOT}{prompt.after}"
        task = next(name for name, task in digits.TASKS.items() if wording in task.phrasings)
        obeys = wording == SEEN_WORDING or speaker < (5 if task == "sort" else 2)
        return obey(task, self.texts[number]) if obeys else "i do not know"


@pytest.fixture(scope="module")
def texts():
    rng, found = random.Random(1), []
    while len(found) < 2 * NUM_SPEAKERS:
        said = " ".join(rng.choices(digits.ENGLISH, k=4))
        if digits.is_fit(said) and said not in found:
            found.append(said)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("benchmark")
    utterances = []
    for number, said in enumerate(texts):
        soundfile.write(folder / f"{number}.wav", np.full(1600, number * STEP, dtype=np.float32), 16_000)
        utterances.append(Utterance(f"u{number:02}", f"{number}.wav", 0.1, said, speaker=f"s{number // 2}"))
    write_records(folder / "test.jsonl", utterances, kind=Utterance)
    (folder / "asked.txt").write_text(f"{SEEN_WORDING}\ntell a story about {SLOT}\n")
    return folder


@pytest.fixture(scope="module")
def found(folder, texts):
    model = Known(texts, folder)
    place = evaluate_benchmark(model, [folder / "test.jsonl"], targets=[folder / "asked.txt"])
    (part,) = json.loads((place / "generalisation.json").read_text())["parts"]
    return place, part, model


def test_scores_of_the_groups_are_those_of_the_known_answers(found):
    _, part, _ = found
    cells = {cell["name"]: cell for cell in part["cells"]}
    speech = {name: cell["speech"]["value"] for name, cell in cells.items()}
    assert speech == pytest.approx(
        {
            "seen tasks, seen wordings": 1.0,
            "seen tasks, unseen wordings": 0.5,
            "unseen tasks, speech in a seen place": 0.2,
            "unseen tasks, speech in an unseen place": 0.2,
        }
    )
    assert {cell["text"] for cell in cells.values()} == {1.0}
    assert cells["unseen tasks, speech in a seen place"]["gap_to_text"]["value"] == pytest.approx(0.8)


def test_prompt_and_task_generalisation_are_differences_of_gaps(found):
    _, part, _ = found
    assert part["prompt"]["value"] == pytest.approx(0.0 - 0.5)
    assert part["task"]["value"] == pytest.approx(0.5 - 0.8)
    assert part["prompt"]["low"] < -0.5 < part["prompt"]["high"] < 0
    assert part["num_speakers"] == part["prompt"]["num_clusters"] == NUM_SPEAKERS


def test_scores_without_a_spread_have_wilsons_interval_over_speakers(found):
    _, part, _ = found
    cells = {cell["name"]: cell for cell in part["cells"]}
    cell = cells["seen tasks, seen wordings"]
    assert cell["speech"]["low"] == pytest.approx(0.7225, abs=1e-4)  # 10 of 10
    assert cell["gap_to_text"]["value"] == 0 and cell["gap_to_text"]["low"] is None


def test_the_floor_reads_another_utterance(found):
    _, part, _ = found
    rows = {row["name"]: row for row in part["tasks"]}
    assert rows["repeat"]["floor"] == rows["reverse"]["floor"] == 0
    assert rows["count"]["floor"] == 1  # all strings have four digits


def test_the_page_names_version_set_evidence_and_what_is_lacking(found):
    place, part, _ = found
    page = (place / "generalisation.md").read_text()
    assert "# Benchmark of generalisation, version 1: known" in page
    assert part["fingerprint"] in page
    assert "a wording of the benchmark in 1 target" in page
    assert "tell a story about {speech}" in page
    assert "Gap to the cascade is not defined: there is no recognizer; give --recognizer FOLDER." in page
    html = (place / "generalisation.html").read_text()
    assert "prompt generalisation -0.50" in html and "<script" not in html


def test_what_is_answered_is_not_asked_again(found, folder):
    place, _, model = found
    before = model.heard
    assert evaluate_benchmark(model, [folder / "test.jsonl"], targets=[folder / "asked.txt"]) == place
    assert model.heard == before > 0


def test_without_targets_nothing_is_guessed(folder, texts, tmp_path, capsys):
    evaluate_benchmark(Known(texts, tmp_path), [folder / "test.jsonl"], num_utts=4)
    shown = capsys.readouterr().out
    assert "Prompt generalisation is not defined: the targets of the training are not known" in shown
    assert "Do not cite this as the benchmark: a trial with 4 utterances" in shown
    assert "all tasks; the training is not known" in shown


def test_a_model_that_hears_nothing_generalises_nothing(folder, texts, tmp_path, capsys):
    class Deaf(Known):
        def _answer(self, prompt):
            return "" if prompt.speech is not None else super()._answer(prompt)

    evaluate_benchmark(
        Deaf(texts, tmp_path), [folder / "test.jsonl"], targets=[folder / "asked.txt"], num_utts=4
    )
    shown = capsys.readouterr().out
    assert (
        "Prompt generalisation is not defined: with speech the seen tasks themselves are less than 0.1"
        in shown
    )
    assert (
        "Task generalisation is not defined: with speech the seen tasks themselves are less than 0.1" in shown
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmark": "other"}, "benchmark 'other': use generalisation"),
        ({"seen": ["sorting"]}, "--seen sorting: no task of the benchmark; use .*sort"),
        (
            {"manifests": []},
            "needs the folder LibriSpeech, or a manifest of its test-clean or of spoken digits",
        ),
        ({"num_utts": 1}, "--utts 1: give at least 2"),
        ({"twice": True}, "holds digits, as does .*test.jsonl; give one manifest of each part"),
    ],
)
def test_wrong_options_are_named(folder, texts, tmp_path, options, message):
    options = dict(options)
    manifests = options.pop("manifests", [folder / "test.jsonl"] * (2 if options.pop("twice", False) else 1))
    with pytest.raises(ValueError, match=message):
        evaluate_benchmark(Known(texts, tmp_path), manifests, **options)


class Recognizer:
    """Knows what was said by the loudness of the recording."""

    def __init__(self, texts):
        self.texts = texts

    def to(self, device):
        return self

    def encoder(self, waveforms):
        loudness = [round(float(np.abs(samples).max()) / STEP) for samples in waveforms]
        return torch.tensor(loudness)[:, None, None], torch.ones(len(loudness), dtype=torch.int64)

    def transcribe(self, frames, lengths):
        return [self.texts[number] for number in frames[:, 0, 0].tolist()]


def test_a_recognizer_gives_any_model_a_cascade(folder, texts, tmp_path, monkeypatch):
    (tmp_path / "whisper").mkdir()
    (tmp_path / "whisper" / "config.json").write_text("{}")
    monkeypatch.setattr(recognizers, "load_whisper_recognizer", lambda path: Recognizer(texts))
    options = {"num_utts": 6, "recognizer": tmp_path / "whisper", "seen": ["sort"]}
    place = evaluate_benchmark(Known(texts, tmp_path), [folder / "test.jsonl"], **options)
    (part,) = json.loads((place / "generalisation.json").read_text())["parts"]
    assert {cell["transcript"] for cell in part["cells"]} == {1.0}
    assert part["gap_to_cascade"]["value"] == part["gap_to_text"]["value"] > 0
    assert part["gap_to_cascade"]["low"] is None  # six speakers
    assert "gap to the cascade" not in part["reasons"]


def test_the_folder_of_librispeech_is_read_without_a_recipe(texts, tmp_path, capsys):
    class Silent(Known):
        def _answer(self, prompt):
            return ""

    root = tmp_path / "LibriSpeech"
    for reader, name in ((1, "king"), (2, "queen")):
        chapter = root / "test-clean" / str(reader) / "7"
        chapter.mkdir(parents=True)
        soundfile.write(chapter / f"{reader}-7-0000.flac", np.zeros(1600), 16_000)
        lines = f"{reader}-7-0000 THE {name.upper()} CAME AND WENT AWAY\n{reader}-7-0001 NO FILE\n"
        (chapter / f"{reader}-7.trans.txt").write_text(lines)
    (root / "SPEAKERS.TXT").write_text("1 | F | test-clean | 1.0 | A\n2 | M | test-clean | 1.0 | B\n")
    evaluate_benchmark(Silent(texts, tmp_path), [root])
    shown = capsys.readouterr()
    assert "LibriSpeech test-clean, 2 utterances of 2 speakers, 120 questions" in shown.out
    assert "2 utterances were found, and LibriSpeech test-clean has 2,620: this is another set" in shown.out
    assert "2 items of test-clean cannot be used, such as 1-7-0001 (no such file)" in shown.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ask", "sort {speech}"], "which utterances? give --manifest FILE"),
        (["--manifest", "a.jsonl", "--seen", "sort"], "--seen: an option of a benchmark"),
        (["--manifest", "a.jsonl", "--manifest", "b.jsonl"], "give one manifest"),
        (["--benchmark", "generalisation", "--ask", "sort {speech}"], "--ask: the questions of --benchmark"),
    ],
)
def test_options_of_the_command_that_do_not_fit_are_named(monkeypatch, capsys, words, message):
    monkeypatch.setattr("sys.argv", ["auralign", "evaluate", "model", *words])
    with pytest.raises(SystemExit):
        cli.main()
    assert message in capsys.readouterr().err


def test_an_option_of_other_models_is_refused_for_a_run(tmp_path):
    (tmp_path / "auralign.json").write_text("{}")
    with pytest.raises(ValueError, match="max_new_tokens: an option of models that others made"):
        sources.find_source(tmp_path, others={"max_new_tokens": 5})

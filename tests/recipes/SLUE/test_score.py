"""Stage 5 of the recipe SLUE: its judge on answers made by hand, and quotes located once."""

import importlib.util
from pathlib import Path

import pytest

from auralign.ledger.recipe import Comparison
from auralign.records import Hypothesis, Question, Records, Utterance, write_records
from auralign.run_folder import RunFolder

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "SLUE"


def load(name):
    """A script of the recipe: its folder has names that others have too."""
    spec = importlib.util.spec_from_file_location(f"slue_{name}", RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


score = load("score")
SAID = "we met in malta and then we all went to rome by train"


def utterance(utt_id="u", **labels):
    return Utterance(id=utt_id, audio="x.wav", seconds=4.0, text=SAID, speaker=utt_id, labels=labels)


def question(task, reference, *, utt_id="u", number=0):
    return Question(
        f"{utt_id}:{task}:{number}", utt_id, f"corpus: {task}", task, "{speech}", reference, number
    )


def judge(places=(), **labels):
    return score.SlueJudge({"u": utterance(**labels)}, dict(places))


@pytest.mark.parametrize(
    ("task", "reference", "answer", "worth", "verdict"),
    [
        ("ner", "GPE: malta", "GPE: malta", 1.0, None),
        ("ner", "GPE: malta\nGPE: rome", "GPE: malta", 2 / 3, "wrong content"),
        ("ner", "GPE: malta", "Malta, I think", 0.0, "other"),
        ("ner", "GPE: malta\nGPE: rome", SAID.replace("malta", "% malta ]"), 2 / 3, "wrong content"),
        ("ner", "GPE: malta", SAID.capitalize() + ".", 0.0, "transcribed"),
        ("sentiment", "Positive", "Positive", 1.0, None),
        ("sentiment", "Positive", "Neutral", 0.0, "wrong content"),
        ("sentiment", "Positive", "banana", 0.0, "other"),
        ("acts", "thanks", "thanks, apology", 2 / 3, "wrong content"),
        ("acts", "thanks", f"they said {SAID}", 0.0, "transcribed"),
        ("title", "On trains", "On planes", 0.5, "wrong content"),
        ("title", "On trains", "", 0.0, "other"),
        ("asr", SAID, f"{SAID}.", 1.0, None),
        ("asr", SAID, "we met in malta and then we all went to rome", 1 - 2 / 13, "wrong content"),
        ("asr", SAID, "GPE: malta", 0.0, "wrong task"),
        ("sentiment", "positive", "GPE: malta", 0.0, "wrong task"),
        ("ner", "GPE: malta", "negative", 0.0, "wrong task"),
        ("sentiment", "positive", "None.", 0.0, "other"),  # which names no entity either
        ("acts", "thanks", "None", 0.0, "other"),
    ],
)
def test_an_answer_is_worth_something_and_its_error_has_a_name(task, reference, answer, worth, verdict):
    one, asked = judge(), question(task, reference)
    if task == "asr" and verdict == "wrong task":
        assert one.score(answer, asked, SAID) < 0.5
    else:
        assert one.score(answer, asked, SAID) == pytest.approx(worth)
    if verdict:
        assert one.classify(answer, asked, SAID) == verdict


def test_a_quotation_is_scored_in_time():
    places = {("u", "rome"): (2.0, 3.0), ("u", "malta"): (2.5, 3.5), ("u", "paris"): None}
    one, asked = judge(places, answer_spans=[[2.0, 3.0]]), question("question", "rome")
    scores = [one.score(answer, asked, SAID) for answer in ('"rome"', "Answer: malta", "paris", "")]
    assert scores == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert [one.classify(text, asked, SAID) for text in ("paris", "", SAID)] == [
        "wrong content",
        "other",
        "transcribed",
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SAID, True),
        ("They said: " + SAID, True),
        ("and then we all went to rome by train", True),
        ("went to rome by train", False),
        ("GPE: malta", False),
        ("", False),
    ],
)
def test_a_long_piece_of_what_was_said_is_a_transcript(answer, expected):
    assert score.repeats(answer, SAID) is expected


def test_each_task_has_the_metrics_of_the_field():
    names = {
        task: [metric.name for metric in judge().metrics("g", task)]
        for task in ("asr", "ner", "sentiment", "acts")
    }
    assert names == {
        "asr": ["WER raw", "WER normalised"],
        "ner": ["F1 raw", "label-F1 raw", "F1 combined", "label-F1 combined", "not read"],
        "sentiment": ["macro F1", "not read"],
        "acts": ["macro F1", "not read"],
    }
    spans = {
        task: [metric.name for metric in judge().metrics("g", task)] for task in ("question", "nel", "title")
    }
    assert spans == {
        "question": ["frame-F1, aligned", "not read", "quote not located"],
        "nel": [
            "frame-F1, aligned",
            "word-F1, aligned",
            "word-F1, aligned, as the SLUE toolkit",
            "not read",
            "quote not located",
        ],
        "title": ["ROUGE-1", "ROUGE-2", "ROUGE-L", "not read"],
    }


KINDS = {"text": "text", "transcript": "text", "speech": "out", "shuffled": "out"}


@pytest.fixture
def run_folder(tmp_path):
    """Two utterances, and every column's answers to what is asked of them."""
    questions = [
        question("question", "rome"),
        question("question", "rome", number=1),
        question("sentiment", "Neutral", utt_id="v"),
    ]
    (tmp_path / "data").mkdir()
    write_records(
        tmp_path / "data/test.jsonl",
        [utterance(answer_spans=[[2.0, 3.0]]), utterance("v", sentiment="Neutral")],
        kind=Utterance,
    )
    write_records(tmp_path / "data/test.questions.jsonl", questions, kind=Question)
    for kind, folder in KINDS.items():
        write_answers(tmp_path, kind, folder, questions, "malta" if kind == "speech" else "rome")
    return tmp_path


def write_answers(root, kind, folder, questions, text):
    path = root / folder / "hypotheses" / f"test.{kind}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_records(path, (Hypothesis(q.key, q.utt_id, kind, text, "stop") for q in questions), kind=Hypothesis)


@pytest.fixture
def runs(run_folder, monkeypatch):
    monkeypatch.chdir(RECIPE)  # the YAML names the tiny models from there
    folders = {"data_folder": "data", "text_folder": "text", "output_folder": "out", "score_folder": "ledger"}
    overrides = {key: str(run_folder / name) for key, name in folders.items()}
    return Comparison({"smoke": RunFolder.open("hparams/smoke.yaml", overrides)}, [])


@pytest.fixture
def looked_for(monkeypatch):
    """What the aligner was asked for; it knows where rome is, and nothing else."""
    calls = []

    def locate(utt_id, phrases):
        calls.append((utt_id, list(phrases)))
        return [(2.0, 3.0, -0.1) if phrase == "rome" else None for phrase in phrases]

    monkeypatch.setattr(score, "locator", lambda recipe, manifest, *, path: locate)
    return calls


def test_quotes_of_span_tasks_are_located_once(runs, looked_for, capsys):
    places, files = score.locate_answers(runs)
    assert looked_for == [("u", ["rome"]), ("u", ["malta"])]
    assert places == {("u", "rome"): (2.0, 3.0), ("u", "malta"): None}
    assert len(files) == 4
    assert "locate speech: 1 quotes, 1 of them could not be located" in capsys.readouterr().out


def test_a_second_run_locates_nothing(runs, looked_for, capsys):
    first = score.locate_answers(runs)
    looked_for.clear()
    assert score.locate_answers(runs) == first
    assert looked_for == []
    assert capsys.readouterr().out.count("already complete") == 4


def test_new_answers_are_located_and_the_other_columns_stay(runs, looked_for, run_folder, capsys):
    score.locate_answers(runs)
    looked_for.clear()
    questions = list(Records(run_folder / "data/test.questions.jsonl", Question))
    write_answers(run_folder, "speech", "out", questions, "train")
    places, _ = score.locate_answers(runs)
    assert looked_for == [("u", ["train"])]
    assert places["u", "train"] is None


def test_answers_that_are_not_there_name_the_stage(runs, run_folder, looked_for):
    (run_folder / "out/hypotheses/test.speech.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.speech\.jsonl; run stage 4 \(decode\) first"):
        score.locate_answers(runs)


def test_without_span_tasks_nothing_is_located(runs, run_folder, looked_for):
    write_records(
        run_folder / "data/test.questions.jsonl",
        [question("sentiment", "Neutral", utt_id="v")],
        kind=Question,
    )
    assert score.locate_answers(runs) == ({}, [])
    assert looked_for == []


def test_help_needs_no_yaml(capsys):
    with pytest.raises(SystemExit):
        score.main(["--help"])
    assert "python score.py" in capsys.readouterr().out

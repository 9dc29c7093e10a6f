"""SpeechInstructBench on files like its own, with a model and a judge whose answers are known."""

import json

import numpy as np
import pytest
import soundfile

from auralign import cli
from auralign.adapters import OtherModel, Reply
from auralign.corpora.speech_instruct import CLOSED, OPEN, read_speech_instruct
from auralign.data.rejected import Rejection
from auralign.evaluation.benchmark import evaluate_benchmark
from auralign.evaluation.instruction_judge import read_adjustment, read_list
from auralign.json_lines import RecordError

COMMA, SHORT = "punctuation:no_comma", "length_constraints:number_words"
LESS = {"num_words": 3, "relation": "less than"}
CLOSED_ROWS = [  # prompt, instructions, arguments, answer to speech: of one prompt there are two rows
    ("Name a colour.", [COMMA, SHORT], [{}, LESS | {"prompt": None}], "Red"),
    ("Name a colour.", [COMMA, SHORT], [{}, LESS], "<1> Red, or a green one"),
    ("Greet me.", [SHORT], [{"num_words": 0, "relation": "at least"}], "Hello, my dear friend"),
    ("Be brief.", [COMMA, SHORT], [{}, LESS], "Well, well:\nYes"),
]


class Known(OtherModel):
    """Answers the row whose recording is as loud as the speech; to text it says nothing that follows."""

    name = short_name = "known"
    batch_size = 10

    def __init__(self, answers, beside):
        self.answers, self.beside, self.asked = answers, beside, 0

    def identity(self):
        return "1"

    def answer(self, prompts):
        self.asked += len(prompts)
        return [
            Reply(
                "" if one.speech is None else self.answers[round(100 * float(np.abs(one.speech).max())) - 1],
                "stop",
            )
            for one in prompts
        ]


def write(folder, name, rows):
    """A file of the benchmark, whose recordings are louder row by row."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, row in enumerate(rows, start=1):
        audio = f"{name}_{number}.wav"
        soundfile.write(folder / "audio" / audio, np.full(3200, number / 100, np.float32), 16_000)
        lines.append(json.dumps({"key": 1000 + number, "audio_path": f"audio/{audio}", **row}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / f"{name}.jsonl"


@pytest.fixture
def closed(tmp_path):
    rows = [
        {"prompt": p, "instruction_id_list": names, "kwargs": kwargs} for p, names, kwargs, _ in CLOSED_ROWS
    ]
    return write(tmp_path / "bench", "closed_standard_en", rows)


def test_closed_items_are_scored_by_rule_and_known_by_their_key(tmp_path, closed):
    model = Known([answer for *_, answer in CLOSED_ROWS], tmp_path)
    folder = evaluate_benchmark(model, [closed], benchmark="speech_instruct", output=tmp_path / "out")
    rows = {row["input"]: row for row in json.loads((folder / "speech_instruct.json").read_text())["rows"]}
    # Followed strictly: both of row 1; none of row 2, nor its first; row 3, whose argument is 0; of row 4 the loose last line.
    speech = rows["speech"]
    assert speech["items"] == 4
    assert speech["strict prompt"] == 2 / 4
    assert speech["strict instruction"] == 3 / 7
    assert speech["loose prompt"] == 3 / 4
    assert speech["loose instruction"] == 5 / 7
    assert speech["mean prompt"] == (2 / 4 + 3 / 4) / 2
    assert rows["text"]["loose instruction"] == 0
    assert "| closed\\_standard\\_en | speech | 4 | 0.50 |" in (folder / "speech_instruct.md").read_text()
    asked = model.asked
    evaluate_benchmark(model, [closed], benchmark="speech_instruct", output=tmp_path / "out")
    assert model.asked == asked  # answers are kept


def judge(prompt):
    """Says YES to the first question alone; of adjustments, that the word "later" follows; and at times nothing to be read."""
    if "unreadable" in prompt:
        return "I cannot tell."
    if "Questions:" in prompt:
        return "['YES', 'NO']"
    held = "YES" if "Answer: later" in prompt else "NO"
    found = {"follow_after_adjust": held, "follow_before_adjust": "NO", "after_adjust_content_correct": held}
    return f"```json\n{json.dumps(found)}\n```"


def test_a_judge_decides_the_others_and_what_cannot_be_read_counts_as_wrong(tmp_path):
    two = "1. Is it short?\n2. Is it {kind}?"
    opened = write(
        tmp_path / "bench",
        "open_ended_en",
        [{"prompt": f"Ask {n}.", "decomposed_questions": two} for n in range(2)],
    )
    adjusted = write(tmp_path / "bench", "adjustment_zh", [{"prompt": f"Ask {n}."} for n in range(2)])
    model = Known(["later {braces}", "unreadable"], tmp_path)
    calls = []
    options = {"benchmark": "speech_instruct", "output": tmp_path / "out", "judge_name": "known"}
    ask = lambda prompt: calls.append(prompt) or judge(prompt)  # noqa: E731
    folder = evaluate_benchmark(model, [opened, adjusted], judge=ask, **options)
    found = json.loads((folder / "speech_instruct.json").read_text())["rows"]
    rows = {row["part"]: row for row in found if row["input"] == "speech"}
    assert rows["open_ended_en"]["strict instruction"] == 1 / 4
    assert rows["open_ended_en"]["strict prompt"] == 0
    assert rows["open_ended_en"]["unread judgements"] == 1
    # Of both measures: to have followed the earlier instruction is wrong.
    assert (rows["adjustment_zh"]["IAR"], rows["adjustment_zh"]["ECR"]) == (1 / 2, 1 / 2)
    assert rows["adjustment_zh"]["unread judgements"] == 1
    listed = list(map(json.loads, (folder / "unread.jsonl").read_text().splitlines()))
    assert [(one["id"], one["detail"]) for one in listed if one["reason"] == "of the answer from speech"] == [
        (f"{part}-1002-2", "I cannot tell.") for part in ("open_ended_en", "adjustment_zh")
    ]
    assert len(calls) == len(set(calls))  # nothing is asked twice


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('["YES", "no"]', (True, False)),
        ("[YES, NO]", (True, False)),
        ("['YES']", None),
        ("YES, NO", None),
        ("[1, 2]", None),
        ("", None),
    ],
)
def test_lists_of_a_judge(text, held):
    assert read_list(text, 2) == held


def test_adjustments_need_both_the_later_instruction_and_its_content():
    said = {"follow_after_adjust": "YES", "follow_before_adjust": "YES", "after_adjust_content_correct": "NO"}
    assert read_adjustment(json.dumps(said)) == (False, True)
    assert read_adjustment(json.dumps(said | {"follow_before_adjust": "perhaps"})) is None
    assert read_adjustment("nothing") is None


def test_rows_say_their_kind_and_missing_audio_is_listed(closed):
    (closed.parent / "audio" / "closed_standard_en_1.wav").unlink()
    missing, item, *_ = read_speech_instruct(closed)
    assert missing == Rejection("closed_standard_en-1001-1", "no such file", "audio/closed_standard_en_1.wav")
    assert (item.kind, item.utterance.language, item.utterance.text) == (CLOSED, "en", "Name a colour.")
    opened = write(closed.parent, "open_zh", [{"prompt": "p", "decomposed_questions": ["a?", "b?"]}])
    (item,) = read_speech_instruct(opened)
    assert (item.kind, item.instructions, item.utterance.language) == (OPEN, ("a?", "b?"), "zh")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p"}, "x.jsonl:1: has neither instruction_id_list nor decomposed_questions"),
        ({"prompt": ""}, "x.jsonl:1: prompt is ''"),
        (
            {"prompt": "p", "instruction_id_list": ["a:b"], "kwargs": [{}]},
            "x.jsonl:1: the instruction 'a:b' is none",
        ),
        (
            {"prompt": "p", "instruction_id_list": [COMMA]},
            "x.jsonl:1: instruction_id_list and kwargs must be lists",
        ),
        ({"prompt": "p", "decomposed_questions": " "}, "x.jsonl:1: decomposed_questions holds no question"),
    ],
)
def test_a_bad_row_is_one_clear_error(tmp_path, row, message):
    with pytest.raises(RecordError, match=message):
        list(read_speech_instruct(write(tmp_path, "x", [row])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give files of the benchmark"),
        (["--seen", "sort"], "--targets and --seen are of generalisation"),
        (["--judge", "nowhere_:judge"], "--judge nowhere_:judge: no module"),
        (["--manifest", "{open}"], "holds open-ended items, which need a judge: --judge"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, arguments, message):
    path = write(tmp_path, "open_en", [{"prompt": "p", "decomposed_questions": "a?"}])
    words = [word.replace("{open}", str(path)) for word in arguments]
    with pytest.raises(ValueError, match=message):
        cli.run(["evaluate", str(tmp_path / "model"), "--benchmark", "speech_instruct", *words])

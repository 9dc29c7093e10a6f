"""Targets: asked in the very ids, filtered with counts, the same after an interruption."""

import copy
import dataclasses
import json
from dataclasses import dataclass

import pytest

from auralign import layout
from auralign.data.rejected import TooManyRejectedError
from auralign.generate.engine import Reply, TransformersEngine
from auralign.generate.filters import Answered, check, loops
from auralign.generate.targets import TargetWriter
from auralign.plugins import load_method
from auralign.reasoning import Reasoning
from auralign.records import Records, Target, Utterance, write_records
from auralign.render import Renderer
from recipe import make_utterance


@pytest.fixture
def manifest(tmp_path):
    utterances = [make_utterance(tmp_path / "data", "train", number) for number in range(7)]
    write_records(tmp_path / "data" / "train.jsonl", utterances, kind=Utterance)
    return Records(tmp_path / "data" / "train.jsonl", Utterance)


def make_writer(
    llm, renderer, engine=None, *, method="sift", temperature=0.0, max_rejected=0.5, num_utts=None, **options
):
    engine = engine or TransformersEngine(llm, renderer, batch_size=3)
    return TargetWriter(
        load_method(method, **options),
        renderer,
        engine,
        llm_name=llm.name,
        llm_revision=llm.revision,
        decoding={"max_new_tokens": 6, "temperature": temperature},
        seed=1,
        max_rejected=max_rejected,
        num_utts=num_utts,
    )


@dataclass
class Scripted:
    """An engine that says what it is told to, and may break off."""

    answers: list
    break_at: int | None = None
    max_prompt_ids: int = 255

    def answer(self, requests):
        for number, request in enumerate(requests):
            if number == self.break_at:
                raise KeyboardInterrupt
            text, reason = self.answers[number % len(self.answers)]
            yield [Reply(request, text, reason)]


def test_llm_reads_exactly_the_rendered_teacher_view(llm, renderer, manifest):
    request, given = next(
        make_writer(llm, renderer, method="sit", instructions=["say {speech} again"]).requests(manifest)
    )
    assert given is None
    text = f"<|im_start|>user\nsay {manifest[0].text} again<|im_end|>\n<|im_start|>assistant\n"
    assert renderer.tokenizer.decode(request.prompt_ids) == text


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_interrupted_equals_uninterrupted(llm, renderer, manifest, tmp_path, temperature, monkeypatch):
    make_writer(llm, renderer, temperature=temperature).write(manifest, tmp_path / "whole.jsonl")
    real, answered, broken = TransformersEngine.write, [], []

    def break_off(engine, prompts, **options):
        for finished in real(engine, prompts, **options):
            yield finished
            answered.extend(finished)
            if len(answered) >= 3 and not broken:
                broken.append(True)
                raise KeyboardInterrupt

    monkeypatch.setattr(TransformersEngine, "write", break_off)
    with pytest.raises(KeyboardInterrupt):
        make_writer(llm, renderer, temperature=temperature).write(manifest, tmp_path / "resumed.jsonl")
    with open(tmp_path / "resumed.partial.jsonl", "ab") as file:
        file.write(b'{"key": "torn')
    make_writer(llm, renderer, temperature=temperature).write(manifest, tmp_path / "resumed.jsonl")
    assert len(answered) == 7  # each utterance once
    assert (tmp_path / "resumed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "resumed.partial.jsonl").exists()


def test_batch_size_changes_no_target(llm, renderer, manifest, tmp_path):
    for size in (1, 7):
        make_writer(llm, renderer, TransformersEngine(llm, renderer, batch_size=size), temperature=1.0).write(
            manifest, tmp_path / f"{size}.jsonl"
        )
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "7.jsonl").read_bytes()


def test_every_target_has_its_provenance(llm, renderer, manifest, tmp_path):
    make_writer(llm, renderer).write(manifest, tmp_path / "t.jsonl")
    target = Records(tmp_path / "t.jsonl", Target)[0]
    assert (target.llm_revision, target.frame_hash, target.method, target.method_version, target.seed) == (
        llm.revision,
        renderer.frame_hash,
        "sift",
        "1",
        1,
    )
    assert target.decoding == {"max_new_tokens": 6, "temperature": 0.0}


def test_dropped_answers_are_counted_and_listed(llm, renderer, manifest, tmp_path):
    answers = [
        ("fine", "stop"),
        ("", "stop"),
        ("I'm sorry, but I cannot hear", "stop"),
        ("no " * 20, "length"),
        ("<think>hm", "length"),
        ("<think>hm</think>good", "stop"),
        ("cut", "length"),
    ]
    summary = make_writer(llm, renderer, Scripted(answers), max_rejected=0.9, refusals=None).write(
        manifest, tmp_path / "t.jsonl"
    )
    assert summary == (
        "3 targets; 4 of 7 rejected (empty: 1, looping: 1, reasoning without end: 1, refusal: 1); 2 stripped of reasoning, "
        "1 cut off (kept without an end of turn)"
    )
    reasons = [
        json.loads(line)["reason"] for line in (tmp_path / "t.rejected.jsonl").read_text().splitlines()
    ]
    assert sorted(reasons) == ["empty", "looping", "reasoning without end", "refusal"]
    assert [target.response for target in Records(tmp_path / "t.jsonl", Target)] == ["fine", "good", "cut"]


def test_a_method_without_a_filter_of_refusals_keeps_them(llm, renderer, manifest, tmp_path):
    answers = [("I'm sorry, but I cannot hear", "stop")] * 12
    make_writer(llm, renderer, Scripted(answers), method="sift").write(manifest, tmp_path / "t.jsonl")
    assert len(Records(tmp_path / "t.jsonl", Target)) == len(manifest)


@pytest.mark.parametrize(("more", "kept"), [(1, True), (2, False)])
def test_short_targets_are_rejected_with_the_end_of_the_turn_counted(
    llm, renderer, manifest, tmp_path, more, kept
):
    num_tokens = len(renderer.encode("fine then"))
    families = {"repeat": ["again"]}
    writer = make_writer(
        llm, renderer, Scripted([("fine then", "stop")] * 12), max_rejected=1.0,
        method="self_powered", families=families, only_punctuated=False, min_tokens=num_tokens + more,
    )  # fmt: skip
    if kept:
        writer.write(manifest, tmp_path / "t.jsonl")
        assert len(Records(tmp_path / "t.jsonl", Target)) == len(manifest)
    else:
        with pytest.raises(TooManyRejectedError, match="nothing was kept"):
            writer.write(manifest, tmp_path / "t.jsonl")
        assert f"shorter than {num_tokens + 2} tokens" in (tmp_path / "t.rejected.jsonl").read_text()


def test_short_transcripts_are_rejected_too(llm, renderer, manifest, tmp_path):
    writer = make_writer(
        llm, renderer, Scripted([]), max_rejected=1.0,
        method="self_powered", families={"transcribe": ["write"]}, min_tokens=1000,
    )  # fmt: skip
    with pytest.raises(TooManyRejectedError, match="nothing was kept"):
        writer.write(manifest, tmp_path / "t.jsonl")


def test_transcription_does_not_ask_the_llm(llm, renderer, manifest, tmp_path):
    make_writer(llm, renderer, Scripted([], break_at=0), method="transcription").write(
        manifest, tmp_path / "t.jsonl"
    )
    found = Records(tmp_path / "t.jsonl", Target)
    assert [target.response for target in found] == [utterance.text for utterance in manifest]
    assert {target.finish_reason for target in found} == {"given"}


def test_phrasing_is_drawn_once_and_kept(llm, renderer, manifest, tmp_path):
    phrasings = [f"{word} {{speech}}" for word in "abcdefgh"]
    make_writer(llm, renderer, method="sit", instructions=phrasings).write(manifest, tmp_path / "t.jsonl")
    kept = [target.choice.instruction for target in Records(tmp_path / "t.jsonl", Target)]
    asked = [
        request.choice.instruction
        for request, _ in make_writer(llm, renderer, method="sit", instructions=phrasings).requests(manifest)
    ]
    assert kept == asked
    assert len(set(kept)) > 1


ITEM = "the model is not able to see the answer"


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("i heard three", "stop", None),
        ("  ", "stop", "empty"),
        ("as an AI language model", "stop", "refusal"),
        ("I can’t hear audio", "stop", "refusal"),
        ("the sorry state of things", "stop", None),
        ("five five five five five five five", "stop", None),
        ("na " * 16, "length", "looping"),
        ("so it goes " * 6, "stop", "looping"),
        ("cut", "length", None),
    ],
)
def test_filter(text, finish, reason):
    assert check(Answered(text, finish)) == reason


def test_cut_off_answers_can_be_dropped():
    assert check(Answered("cut", "length"), keep_cut_off=False) == "cut off"


@pytest.mark.parametrize(
    "text",
    [
        "no, " * 30 + "no.",
        "No no " * 10 + "no!",
        "好的。" * 50,
        "ha" * 100,
        "ha" * 100 + "!",
        "".join(f"{n}. {ITEM}\n" for n in range(1, 9)),
    ],
)
def test_an_answer_that_the_llm_ended_loops_whatever_signs_numbers_or_spaces_it_has(text):
    assert loops(text)


@pytest.mark.parametrize("cut_off", [True, False])
@pytest.mark.parametrize("rule", ["=" * 40, "-" * 80, "*-" * 20])
def test_a_line_under_a_title_is_no_loop(rule, cut_off):
    assert not loops(f"Title\n{rule}", cut_off=cut_off)


def test_signs_without_end_are_a_loop():
    assert loops("Title\n" + "=" * 300, cut_off=True)


def test_loop_must_be_at_the_end():
    assert not loops("na " * 16 + "and then it was over")


@pytest.mark.parametrize(
    "mark",
    [
        "{n}.",
        "({n})",
        "**{n}.**",
        "[{n}]",
        "#{n}",
        "## {n}.",
        "1.{n}",
        "{a})",
        "({a})",
        "{r})",
        "Q{n}:",
        "- ",
    ],
)
def test_a_cut_off_list_of_one_item_loops_whatever_numbers_it_has(mark):
    lines = [
        f"{mark.format(n=n, a=a, r=r)} {ITEM}\n"
        for n, (a, r) in enumerate(zip("abcd", ("i", "ii", "iii", "iv"), strict=True), 1)
    ]
    assert loops("".join(lines), cut_off=True)


@pytest.mark.parametrize(
    "text",
    ["no " * 12, "açúmar, " * 5, "The answer is yes. " * 3, "".join(f"{n}. Red\n" for n in range(1, 7))],
)
def test_a_short_answer_that_was_cut_off_loops_too(text):
    assert loops(text, cut_off=True)
    assert not loops(text)  # its end was chosen


@pytest.mark.parametrize(
    "text", ["no no no", "You said seven seven seven seven", "I know that you know that I"]
)
def test_few_repeats_are_no_loop_although_the_answer_was_cut_off(text):
    assert not loops(text, cut_off=True)


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"{letter}." for letter in "ABCDEFGHIJKLMNOPQRSTUVW"),
        " ".join(f"{number}," for number in range(40)),
        "\n".join(f"2 x {number} = {2 * number}" for number in range(20)),
        "\n".join(
            f"{mark}) the {word} one"
            for mark, word in zip("abcde", "red blue green pink grey".split(), strict=True)
        ),
    ],
)
def test_a_cut_off_list_of_different_items_is_no_loop(text):
    assert not loops(text, cut_off=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a\nb</think> c", ("c", True)),
        ("c", ("c", False)),
        ("<think>never closed", ("", True)),
        ("thought</think> said", ("said", True)),
    ],
)
def test_thinking_is_stripped(text, expected):
    assert Reasoning().split(text)[:2] == expected


def test_a_prompt_longer_than_the_context_is_not_asked_but_listed(llm, renderer, manifest, tmp_path):
    lengths = sorted(len(request.prompt_ids) for request, _ in make_writer(llm, renderer).requests(manifest))
    engine = Scripted([("fine", "stop")], max_prompt_ids=lengths[-1] - 1)
    num_long = lengths.count(lengths[-1])
    summary = make_writer(llm, renderer, engine).write(manifest, tmp_path / "t.jsonl")
    assert f"{num_long} of 7 rejected (prompt longer than the LLM's context: {num_long})" in summary


def test_what_is_taught_is_what_the_llm_wrote_token_by_token(llm, renderer, manifest, tmp_path):
    make_writer(llm, renderer, temperature=2.0).write(manifest, tmp_path / "t.jsonl")
    # a random LLM also writes special tokens now and then
    targets = [t for t in Records(tmp_path / "t.jsonl", Target) if t.response_ids is not None]
    rewritten = 0
    for target in targets:
        segment = layout.Response(target.response, finished=False, ids=target.response_ids)
        assert renderer.render(layout.View((segment,))).pieces[-1].ids == target.response_ids
        rewritten += renderer.encode(target.response) != target.response_ids
    assert rewritten  # a sampled answer is seldom what its text would be tokenised to


def test_what_is_taught_of_an_answer_holds_no_reasoning_and_no_special_token(
    llm, renderer, manifest, tmp_path
):
    answers = {
        "<think>hm</think>good": ("good", False),
        "over<|im_start|>user": ("over", True),
        "fine": ("fine", True),
    }

    class Engine(Scripted):
        def answer(self, requests):
            for number, request in enumerate(requests):
                text = list(answers)[number % 3]
                ids = tuple(renderer.tokenizer(text, add_special_tokens=False)["input_ids"])
                yield [Reply(request, text, "length", ids)]

    make_writer(llm, renderer, Engine([])).write(manifest, tmp_path / "t.jsonl")
    found = {target.response: target for target in Records(tmp_path / "t.jsonl", Target)}
    assert set(found) == {"good", "over", "fine"}
    for text, has_ids in answers.values():
        assert found[text].response_ids == (renderer.encode(text) if has_ids else None)
    assert [found[text].finish_reason for text in ("good", "over", "fine")] == ["length", "stop", "length"]


def test_answers_with_other_special_tokens_are_rejected_and_listed(llm, renderer, manifest, tmp_path):
    answers = [("fine", "stop"), ("thr<|unknown|>ee", "stop")]
    tokenizer = copy.deepcopy(renderer.tokenizer)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|unknown|>"]}, replace_extra_special_tokens=False
    )
    make_writer(llm, Renderer(tokenizer), Scripted(answers), max_rejected=0.9).write(
        manifest, tmp_path / "t.jsonl"
    )
    rejected = [json.loads(line) for line in (tmp_path / "t.rejected.jsonl").read_text().splitlines()]
    assert {entry["reason"] for entry in rejected} == {"special token <|unknown|>"}
    assert {target.response for target in Records(tmp_path / "t.jsonl", Target)} == {"fine"}


def test_what_a_method_rejects_is_counted_and_listed(llm, renderer, manifest, tmp_path):
    engine = Scripted([("it ends.", "stop"), ("it does not", "stop")])
    summary = make_writer(
        llm, renderer, engine, method="self_powered", families={"repeat": ["say"]}, max_rejected=0.9
    ).write(manifest, tmp_path / "t.jsonl")
    assert summary.startswith("4 targets; 3 of 7 rejected (does not end in punctuation: 3)")


class Counting(Scripted):
    """An engine that counts what it is asked."""

    num_asked = 0

    def answer(self, requests):
        for batch in super().answer(requests):
            self.num_asked += len(batch)
            yield batch


@pytest.fixture
def long_manifest(tmp_path):
    one = make_utterance(tmp_path / "data", "train", 0)
    utterances = [dataclasses.replace(one, id=f"utt-{number}") for number in range(200)]
    write_records(tmp_path / "data" / "train.jsonl", utterances, kind=Utterance)
    return Records(tmp_path / "data" / "train.jsonl", Utterance)


LOOPS = ("so it goes " * 9, "length")


def test_generation_stops_as_soon_as_it_is_clear_that_too_many_answers_are_rejected(
    llm, renderer, long_manifest, tmp_path, capsys
):
    engine = Counting([LOOPS])
    with pytest.raises(TooManyRejectedError, match=r"looping.*what was answered is kept.*max_rejected"):
        make_writer(llm, renderer, engine, max_rejected=0.25).write(long_manifest, tmp_path / "t.jsonl")
    # By hand: Wilson's lower end of n of n is n / (n + 16) at four deviations, above 0.25 from 6 on; but 16 are asked.
    assert engine.num_asked == 16
    assert "so it goes" in capsys.readouterr().err
    assert not (tmp_path / "t.jsonl").exists()


def test_a_bound_that_is_certain_stops_without_statistics(llm, renderer, manifest, tmp_path):
    engine = Counting([("fine", "stop"), LOOPS])
    with pytest.raises(TooManyRejectedError):
        make_writer(llm, renderer, engine, max_rejected=0.2).write(manifest, tmp_path / "t.jsonl")
    assert engine.num_asked == 4  # the second loop of seven answers, of which one may be rejected


def test_after_raising_the_limit_nothing_is_asked_twice(llm, renderer, long_manifest, tmp_path):
    engine = Counting([("fine", "stop"), ("fine", "stop"), LOOPS])
    with pytest.raises(TooManyRejectedError):
        make_writer(llm, renderer, engine, max_rejected=0.01).write(long_manifest, tmp_path / "t.jsonl")
    assert engine.num_asked < 40
    with pytest.raises(TooManyRejectedError):  # the same limit: nothing more is asked
        make_writer(llm, renderer, Counting([], break_at=0), max_rejected=0.01).write(
            long_manifest, tmp_path / "t.jsonl"
        )
    again = Counting([("fine", "stop"), ("fine", "stop"), LOOPS])
    make_writer(llm, renderer, again, max_rejected=0.5).write(long_manifest, tmp_path / "t.jsonl")
    assert engine.num_asked + again.num_asked == 200


def test_a_share_within_the_limit_is_warned_of_with_examples(llm, renderer, long_manifest, tmp_path, capsys):
    engine = Scripted([("fine", "stop")] * 9 + [LOOPS])
    make_writer(llm, renderer, engine, max_rejected=0.25).write(long_manifest, tmp_path / "t.jsonl")
    said = capsys.readouterr().err
    assert "warning: 20 of 200 rejected (looping: 20), such as" in said
    assert f"looping: utt-9, '{long_manifest[0].text}': 'so it goes" in said


def test_a_sample_of_many_is_asked_first(llm, renderer, long_manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("auralign.generate.targets.WINDOW", 200)
    monkeypatch.setattr("auralign.generate.targets.SAMPLE", 20)
    calls = []

    class Calls(Scripted):
        def answer(self, requests):
            calls.append([request.utt_id for request in requests])
            return super().answer(requests)

    make_writer(llm, renderer, Calls([("fine", "stop")])).write(long_manifest, tmp_path / "t.jsonl")
    sample, rest = calls
    assert (len(sample), len(rest)) == (20, 180)
    assert len({*sample, *rest}) == 200
    assert sample != [f"utt-{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I do not know. " * 4 + "I do n", "looping"),  # the last word is cut off too
        ("The tower stands in Paris, on the left bank. " * 2, None),  # two times nine words
        ((" ".join(f"word{number}" for number in range(25)) + ". ") * 2 + "word0 wor", "looping"),
        ("".join(f"{number}. Drink a glass of water.\n" for number in range(1, 6)) + "6. Dri", "looping"),
        (
            "".join(f"{number}. Visit {word}.\n" for number, word in enumerate("abcdefghijklmnop", 1)) + "17",
            None,
        ),
        (" ".join(map(str, range(1, 60))), None),  # it counts
        ("我不知道。" * 10 + "我不", "looping"),
        ("Ha" + "ha" * 40, "looping"),
        ("1" + "0" * 20, None),
    ],
)
def test_an_answer_that_was_cut_off_while_it_looped(text, reason):
    assert check(Answered(text, "length")) == reason


@pytest.mark.parametrize("text", ["I do not know. " * 3, "1. Drink. " * 5])
def test_an_answer_that_the_llm_ended_is_held_to_the_stricter_rule(text):
    assert check(Answered(text, "stop")) is None


def test_a_part_of_the_utterances_is_asked_and_fewer_are_a_part_of_more(llm, renderer, manifest, tmp_path):
    drawn = []
    for number in (2, 4):
        path = tmp_path / f"{number}.jsonl"
        make_writer(llm, renderer, Scripted([("fine", "stop")]), num_utts=number).write(manifest, path)
        drawn.append([target.utt_id for target in Records(path, Target)])
    assert [len(ids) for ids in drawn] == [2, 4]
    assert set(drawn[0]) < set(drawn[1])
    order = [utterance.id for utterance in manifest]
    assert drawn[1] == sorted(drawn[1], key=order.index)


def test_parts_of_the_drawn_utterances_are_asked_once(llm, renderer, manifest, tmp_path):
    def asked(name, of_shard=None):
        path = tmp_path / f"{name}.jsonl"
        writer = make_writer(llm, renderer, Scripted([("fine", "stop")]), num_utts=5)
        writer.write(manifest, path, of_shard=of_shard)
        return [target.utt_id for target in Records(path, Target)]

    assert asked("first", range(0, 2)) + asked("none", range(2, 2)) + asked("last", range(2, 5)) == asked(
        "all"
    )


def test_more_utterances_than_there_are_cannot_be_asked(llm, renderer, manifest, tmp_path):
    writer = make_writer(llm, renderer, num_utts=len(manifest) + 1)
    with pytest.raises(
        ValueError, match=rf"num_train_utts {len(manifest) + 1}: .* holds {len(manifest)}; give at most"
    ):
        writer.write(manifest, tmp_path / "t.jsonl")

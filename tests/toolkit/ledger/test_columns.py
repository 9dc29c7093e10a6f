import pytest

from auralign.ledger.columns import other_builds, read_items
from auralign.records import Hypothesis, Question, RecordError, Records, Utterance, write_records


def test_answers_stand_beside_their_questions_whatever_the_order_of_the_file(corpus):
    columns = [("text", corpus.answers("text", "abcdefgh")), ("speech", corpus.answers("speech", "stuvwxyz"))]
    assert [item.answers for item in read_items(corpus.questions, corpus.manifest, columns)][1] == {
        "text": "b",
        "speech": "t",
    }


def test_missing_answer_names_key_file_and_stage(corpus):
    column = corpus.answers("speech", "11111111", **{"b-un": None})
    with pytest.raises(
        RecordError, match=r"speech\.jsonl: no answer .* 'b-un' .*run stage 4 \(decode\) again"
    ):
        read_items(corpus.questions, corpus.manifest, [("speech", column)])


def test_answer_to_no_question_names_key_file_and_stage(corpus):
    extra = Hypothesis("z-un", "z", "speech", "x", "stop")
    column = corpus.answers("speech", "11111111", extra=[extra])
    with pytest.raises(RecordError, match=r"speech\.jsonl: answers 'z-un'.*run stage 4 \(decode\) again"):
        read_items(corpus.questions, corpus.manifest, [("speech", column)])


def test_answer_of_another_input_kind_is_refused(corpus):
    with pytest.raises(RecordError, match="given after shuffled; this column needs speech"):
        read_items(corpus.questions, corpus.manifest, [("speech", corpus.answers("shuffled", "11111111"))])


def test_answer_about_another_utterance_is_refused(corpus):
    column = corpus.answers("speech", "11111111", **{"b-un": Hypothesis("b-un", "c", "speech", "x", "stop")})
    with pytest.raises(RecordError, match="'b-un' is about utterance 'c'; the question is about 'b'"):
        read_items(corpus.questions, corpus.manifest, [("speech", column)])


def test_utterance_that_the_manifest_lacks_is_named(corpus, make_corpus, tmp_path):
    (tmp_path / "smaller").mkdir()
    manifest = type(corpus)(tmp_path / "smaller", corpus.asked[:1]).manifest
    with pytest.raises(RecordError, match="lacks utterance 'b'.*stage 1"):
        read_items(corpus.questions, manifest, [("speech", corpus.answers("speech", "11111111"))])


def test_no_question_at_all_is_an_error(make_corpus):
    corpus = make_corpus(())
    with pytest.raises(RecordError, match="holds no question"):
        read_items(corpus.questions, corpus.manifest, [])


def test_whoever_judges_is_given_texts_in_one_form_of_unicode(tmp_path):
    write_records(tmp_path / "m.jsonl", [Utterance("a", "a.wav", 1.0, "scho\u0308n")], kind=Utterance)
    question = Question("k", "a", "g", "t", "{speech}", "u\u0308ber")
    write_records(tmp_path / "q.jsonl", [question], kind=Question)
    heard = Hypothesis("k", "a", "speech", "fu\u0308r", "stop")
    write_records(tmp_path / "h.jsonl", [heard], kind=Hypothesis)
    (item,) = read_items(
        Records(tmp_path / "q.jsonl", Question),
        Records(tmp_path / "m.jsonl", Utterance),
        [("speech", Records(tmp_path / "h.jsonl", Hypothesis))],
    )
    assert (item.question.reference, item.said, item.answers) == ("über", "schön", {"speech": "für"})


def test_a_report_says_of_which_other_builds_its_answers_are(corpus, tmp_path):
    answer = Hypothesis("a-un", "a", "speech", "x", "stop", other_build="a-c")
    llm, encoder = ({"told": f"another build of the {part}"} for part in ("LLM", "encoder"))
    files = []
    for number, builds in enumerate([{"llm": llm}, {"llm": llm, "encoder": encoder}]):
        path = tmp_path / f"{number}.jsonl"
        write_records(path, [answer], kind=Hypothesis, about={"other_builds": builds})
        files.append(Records(path, Hypothesis))
    assert other_builds(files) == {"weights": "another build of the LLM; another build of the encoder"}
    assert other_builds([corpus.answers("speech", "stuvwxyz")]) == {}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"speaker": "s", "labels": {"issue_id": "7"}}, "s"),
        ({"labels": {"issue_id": 7}}, "7"),
        ({"labels": {"document_id": "Malta"}}, "Malta"),
        ({}, "utterance u"),
    ],
)
def test_what_is_resampled_is_the_speaker_or_the_recording_or_the_utterance(facts, expected):
    assert Utterance("u", "x.wav", 1.0, "said", **facts).cluster == expected

"""Stage 5 of the CoVoST 2 recipe: what an answer is worth, and what became of a wrong one."""

import importlib.util
from pathlib import Path

import pytest

from auralign.recipe import RecipeError
from auralign.records import Question, Utterance
from auralign.score.task_metrics import Asked

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "CoVoST-2"
SAID = "The cat sleeps on the sofa."
GERMAN = "Die Katze schläft auf dem Sofa."
CHINESE = "猫在沙发上睡觉。"


def load(name):
    spec = importlib.util.spec_from_file_location(f"covost_{name}", RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipe = load("score")
JUDGE = recipe.CovostJudge()


def ask(group, reference, task="translate"):
    return Question("q", "u", group, task, "{speech}", reference)


def test_a_translation_is_worth_its_chrf():
    # The two share 2 of 3 characters each, 1 of 2 bigrams, no trigram: (2/3 + 1/2 + 0) / 3, for precision and recall.
    assert JUDGE.score("abx", ask("en_de", "aby"), "said") == pytest.approx(7 / 18)


def test_the_reference_itself_is_right():
    assert JUDGE.score(GERMAN, ask("en_de", GERMAN), SAID) == 1.0


@pytest.mark.parametrize(
    ("group", "reference", "answer", "became"),
    [
        ("en_de", GERMAN, "Die Katze liegt auf einem Sofa.", "wrong content"),
        ("en_de", GERMAN, "the cat sleeps on a sofa", "transcribed"),
        ("en_de", GERMAN, "Sure! Here it is: the cat, it sleeps on the sofa.", "other"),
        ("en_de", GERMAN, CHINESE, "other"),
        ("en_de", GERMAN, "", "other"),
        ("en_de", "Anna Karenina!", "Anna Karenina", "wrong content"),
        ("en_zh-CN", CHINESE, "一只猫睡在沙发上。", "wrong content"),
        ("en_zh-CN", CHINESE, "猫 sleeps on the sofa", "other"),
        ("en_zh-CN", CHINESE, SAID, "transcribed"),
        ("en_mn", "Муур буйдан дээр унтаж байна.", "Муур унтаж байна.", "wrong content"),
    ],
)
def test_a_wrong_answer_is_called_what_it_is(group, reference, answer, became):
    said = "Anna Karenina." if "Anna" in answer else SAID
    assert JUDGE.classify(answer, ask(group, reference), said) == became


def test_speech_without_spaces_is_known_as_a_copy_by_its_letters():
    question = ask("zh-CN_en", "The cat sleeps on the sofa.")
    assert JUDGE.classify("猫在沙发上睡觉", question, CHINESE) == "transcribed"


def test_bleu_is_by_the_tokenizer_of_the_target():
    asked = Asked((ask("en_zh-CN", CHINESE),), (Utterance("u", "u.mp3", 1.0, SAID),), seed=1)
    bleu, chrf = JUDGE.metrics("en_zh-CN", "translate")
    assert "|tok:zh|" in bleu.score(asked, [CHINESE]).note
    assert "|case:mixed|" in chrf.score(asked, [CHINESE]).note


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("en: transcripts", ["WER raw", "WER normalised"]),
        ("zh-CN: transcripts", ["CER raw", "CER normalised"]),
    ],
)
def test_transcripts_are_scored_by_word_or_by_letter(group, names):
    assert [metric.name for metric in JUDGE.metrics(group, "asr")] == names


@pytest.mark.parametrize(
    ("answer", "worth", "became"),
    [("the cat sleeps on a sofa", 5 / 6, "wrong content"), (GERMAN, 1 / 6, "wrong task")],
)
def test_a_transcript_is_worth_its_right_words(answer, worth, became):
    question = ask("en: transcripts", SAID, task="asr")
    assert JUDGE.score(answer, question, SAID) == pytest.approx(worth)
    assert JUDGE.classify(answer, question, SAID) == became


def test_comet_judges_each_translation_once(monkeypatch):
    calls = []

    def score_comet(sources, hypotheses, references, *, checkpoint, num_gpus):
        calls.append((sources, hypotheses, references))
        return 0.0, [0.1 * len(text) for text in hypotheses]

    monkeypatch.setattr(recipe, "score_comet", score_comet)
    comet = recipe.Comet("model.ckpt")
    speakers = [Utterance(name, "x.mp3", 1.0, "said", speaker=name) for name in "ab"]
    asked = Asked((ask("en_de", "r"), ask("en_de", "s")), tuple(speakers), seed=1)
    assert comet.score(asked, ["x", "xxx"]).value == pytest.approx(20)
    assert comet.compare(asked, ["x", "xxx"], ["x", "xx"]).difference == pytest.approx(5)
    assert calls == [(("said", "said"), ("x", "xxx"), ("r", "s")), (("said",), ("xx",), ("s",))]


def test_comet_is_a_metric_if_a_checkpoint_is_given():
    names = [metric.name for metric in recipe.CovostJudge(recipe.Comet("x")).metrics("en_de", "translate")]
    assert names == ["BLEU", "chrF", "COMET"]


def test_the_checkpoint_is_taken_off_the_arguments(tmp_path):
    place = str(tmp_path)
    wanted = (["a.yaml", "--seed", "2"], tmp_path)
    assert recipe.take_comet(["a.yaml", "--comet", place, "--seed", "2"]) == wanted
    assert recipe.take_comet(["a.yaml", f"--comet={place}", "--seed", "2"]) == wanted
    assert recipe.take_comet(["a.yaml"]) == (["a.yaml"], None)


def test_a_checkpoint_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="--comet: no .*none; fetch a checkpoint"):
        recipe.take_comet(["--comet", str(tmp_path / "none")])
    with pytest.raises(RecipeError, match="--comet: give a checkpoint"):
        recipe.take_comet(["--comet"])


def counts(kept, doubt=None):
    test = {"published": 15_531, "listed": 15_531, "kept": kept}
    return {"common_voice": doubt, "pairs": {"en_de": {"test": test}}}


def test_a_whole_test_set_is_said_to_be_whole():
    assert list(recipe.describe_counts(counts(15_531))) == [
        "en_de: 15,531 test clips, all that were published."
    ]


def test_a_test_set_that_lacks_clips_is_not_to_be_compared():
    whole, doubt = recipe.describe_counts(counts(15_000, "cv is not Common Voice 4.0"))
    assert whole.startswith(
        "en_de: 15,000 test clips of 15,531 published: its figures are not to be compared"
    )
    assert doubt == "cv is not Common Voice 4.0."

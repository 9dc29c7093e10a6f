import re
import subprocess
import sys
from pathlib import Path

import pytest

from auralign.score.metrics import word_error_rate
from auralign.score.recognition import error_rate, error_rate_difference
from auralign.text.forms import normalised_form, raw_form

GOLDEN = Path(__file__).parents[4] / "shared" / "data" / "scoring_refs"
PUBLISHED = sorted((GOLDEN / "librispeech_is21").glob("*.result"))


def raw(references, hypotheses, *, speakers=None, language="en"):
    return rate_of(raw_form(language), references, hypotheses, speakers)


def normalised(references, hypotheses, *, speakers=None, language="en", spellings=None):
    return rate_of(normalised_form(language, spellings), references, hypotheses, speakers)


def rate_of(form, references, hypotheses, speakers):
    """By default every utterance is a speaker's own."""
    speakers = range(len(references)) if speakers is None else speakers
    return error_rate(form, references, hypotheses, speakers=speakers, seed=1)


def read_texts(path):
    return dict(line.split("\t")[:2] for line in path.read_text(encoding="utf-8").splitlines())


def test_rate_is_all_edits_over_all_words():
    # 1 substitution of 1 word, 1 deletion of 4 words: 2 / 5, not the mean of 1 and 1/4
    found = raw(["a", "b c d e"], ["x", "b c d"])
    assert (found.wer.value, found.num_edits, found.num_words) == (2 / 5, 2, 5)


def test_edits_of_every_kind_are_counted():
    # one -> two, three inserted, five six deleted: 1 + 1 + 2
    assert raw(["one x five six"], ["two three x"]).num_edits == 4


def test_raw_text_is_compared_as_it_is_written():
    texts = ["TEN DAYS", "it's"], ["Ten days.", "it’s"]
    assert (raw(*texts).wer.value, normalised(*texts).wer.value) == (1, 0)


def test_any_white_space_parts_words():
    assert raw(["a b c d"], ["a\tb\nc\u00a0d"]).num_edits == 0


def test_spellings_are_those_given():
    references, hypotheses = ["the colour"], ["the color"]
    rates = [normalised(references, hypotheses, spellings=given) for given in (None, {"colour": "color"})]
    assert [rate.wer.value for rate in rates] == [1 / 2, 0]


def test_raw_text_of_such_a_language_counts_its_punctuation():
    found, other = (score(["今天，好。"], ["今 天好"], language="zh") for score in (raw, normalised))
    assert (found.wer.value, other.wer.value, found.unit) == (2 / 5, 0, "letter")


def test_a_reference_that_normalises_to_nothing_is_kept_and_counted():
    # two words against nothing, two of two right: 2 insertions / 2 words
    found = normalised(["Uh.", "a b"], ["x y", "a b"])
    assert (found.wer.value, found.num_edits, found.num_empty_references) == (1, 2, 1)


def test_the_words_of_an_empty_hypothesis_are_deleted():
    found = raw(["a b", "c d"], [" ", "c d"])
    assert (found.wer.value, found.num_edits) == (2 / 4, 2)


def test_no_word_left_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"1 references hold no word \(text by Whisper's English"):
        normalised(["uh"], ["a"])


def test_no_utterance_at_all_is_an_error():
    with pytest.raises(ValueError, match="0 references hold no word"):
        raw([], [])


def test_interval_is_drawn_over_speakers():
    # of two speakers, drawn twice: both the bad one, one of each, or both the good one; the outer ones 1 in 4
    found = raw(["a b"] * 4, ["x y", "x y", "a b", "a b"], speakers="kkmm")
    assert (found.wer.value, found.wer.low, found.wer.high) == (1 / 2, 0, 1)


def test_answers_to_several_wordings_about_an_utterance_are_drawn_together():
    # of two utterances of each speaker, one is wrong in all four wordings: as wide as with one wording
    texts, answers = ["a b"] * 4, ["x y", "a b"] * 2
    once = error_rate(raw_form("en"), texts, answers, speakers="kkmm", utt_ids="wxyz", seed=1).wer
    often = error_rate(
        raw_form("en"), texts * 4, answers * 4, speakers="kkmm" * 4, utt_ids="wxyz" * 4, seed=1
    ).wer
    assert (once.low, once.high) == (often.low, often.high) == (0, 1)


def test_one_speaker_gives_no_interval():
    found = raw(["a b"] * 2, ["x y", "a b"], speakers="kk")
    assert (found.wer.value, found.wer.low, found.wer.high) == (1 / 2, None, None)


@pytest.mark.parametrize("name", ["hypotheses", "speakers"])
def test_unequal_counts_are_refused_by_name(name):
    options = {"hypotheses": ["a", "b"], "speakers": "kk"} | {name: ["a"]}
    with pytest.raises(ValueError, match=f"2 references but 1 {name}"):
        raw(["a", "b"], **options)


def test_a_number_too_long_to_read_is_named():
    with pytest.raises(ValueError, match="hypothesis 1 of 2 cannot .*: '1111"):
        normalised(["a", "b"], ["a", "1" * 5000])


def test_difference_of_two_systems_by_hand():
    # 1 and 3 edits of 10 words
    references = ["a b c d e", "f g h i j"]
    hypotheses, others = ["x b c d e", "f g h i j"], ["a b c d e", "x x x i j"]
    found = error_rate_difference(raw_form("en"), references, hypotheses, others, speakers="km", seed=1)
    assert found.value == -2 / 10


def test_difference_is_paired():
    # the first has one or two edits of five words more, however hard the speaker: between 1/5 and 2/5
    references = ["a b c d e"] * 4
    others = ["a b c d e", "x b c d e", "x x c d e", "x x x d e"]
    hypotheses = [other[:-1] + "y" for other in others[:3]] + ["x x x y y"]
    found = error_rate_difference(raw_form("en"), references, hypotheses, others, speakers="kmno", seed=1)
    assert found.value == pytest.approx(5 / 20)
    assert 1 / 5 - 1e-9 <= found.low < found.high <= 2 / 5 + 1e-9


def test_the_difference_of_equal_hypotheses_is_no_share_of_zero():
    said = ["a b c", "d e f"]
    found = error_rate_difference(raw_form("en"), said, said, said, speakers="km", seed=1)
    assert (found.value, found.low, found.high) == (0, None, None)


def test_recognition_imports_no_torch():
    code = (
        "import sys, auralign.score.recognition\nfrom auralign.text.forms import normalised_form\n"
        "normalised_form('en').split('a'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("result", PUBLISHED, ids=lambda path: path.name.removesuffix(".tsv.result"))
def test_published_librispeech_rates(result):
    """Of every hypothesis set that is on this disk: 44 were published, 3 of them lie in ../shared/data as of now."""
    references = read_texts(result.parent / f"ref.{result.name.split('.')[0]}.tsv")
    hypotheses = read_texts(result.with_suffix(""))
    published = float(re.search(r"^WER: error_rate=([\d.]+)", result.read_text(), re.MULTILINE)[1])
    texts = [hypotheses[utt_id] for utt_id in references]
    rate = raw(references.values(), texts, speakers=[utt_id.split("-")[0] for utt_id in references])
    # aligners with other costs than 1 for each edit find up to 0.002 points more
    assert 100 * rate.wer.value == pytest.approx(published, abs=0.002)
    assert rate.wer.low < rate.wer.value < rate.wer.high


@pytest.mark.skipif(not PUBLISHED, reason="no published LibriSpeech hypotheses beside the checkout")
def test_published_librispeech_hypotheses_have_their_published_rates():
    """No set on this disk goes untested above for want of its rate."""
    hypotheses = [path for path in PUBLISHED[0].parent.glob("*.tsv") if not path.name.startswith("ref.")]
    assert sorted(path.name for path in hypotheses) == [path.stem for path in PUBLISHED]


@pytest.mark.skipif(not PUBLISHED, reason="no published LibriSpeech hypotheses beside the checkout")
def test_published_text_gives_the_same_rate_as_the_toolkits_own():
    references = read_texts(GOLDEN / "librispeech_is21" / "ref.test-clean.tsv")
    hypotheses = read_texts(PUBLISHED[0].with_suffix(""))
    texts = [hypotheses[utt_id] for utt_id in references]
    found = raw(references.values(), texts)
    assert found.wer.value == word_error_rate(list(references.values()), texts)


DECOMPOSED = "scho\u0308n"


def test_an_accent_of_its_own_is_part_of_its_letter_in_every_form():
    found = [score([f"{DECOMPOSED} a"], ["schön a"], language="de") for score in (raw, normalised)]
    assert [rate.wer.value for rate in found] == [0, 0]
    assert "NFC" in found[0].text


def test_letters_of_raw_text_are_composed():
    # か + dakuten is one letter: 0 edits of 1
    found = raw(["か\u3099"], ["が"], language="ja")
    assert (found.num_edits, found.num_words) == (0, 1)


# Wrong words that Whisper's basic normaliser takes for right: only their marks differ.
MARKS = [
    ("hi", "कि", "कु"),  # vowel signs
    ("hi", "हिंदी", "हिदी"),  # anusvara
    ("hi", "क्त", "कत"),  # virama
    ("hi", "ज़रा", "जरा"),  # nukta
    ("mr", "मी", "मा"),
    ("bn", "কি", "কু"),
    ("ta", "கி", "கு"),
    ("te", "కి", "కు"),
    ("kn", "ಕಿ", "ಕು"),
    ("ml", "കി", "കു"),
    ("gu", "કિ", "કુ"),
    ("pa", "ਕਿ", "ਕੁ"),
    ("si", "කි", "කු"),
    ("th", "น้ำ", "นำ"),  # tone
    ("th", "กี", "กู"),
    ("lo", "ກີ", "ກູ"),
    ("km", "គិ", "គុ"),
    ("my", "ကိ", "ကု"),
    ("dv", "ކި", "ކު"),
    ("yo", "ọ\u0301", "ọ\u0300"),  # tones that no letter has composed
    ("vi", "ma\u0301", "ma\u0300"),
    ("yi", "אָ", "אַ"),  # in Yiddish points are letters
    ("ja", "か\u3099", "か"),
    ("ko", "\u1112\u1161\u11ab", "\u1112\u1161"),
]


@pytest.mark.parametrize(("language", "right", "wrong"), MARKS)
def test_a_word_with_another_mark_is_wrong(language, right, wrong):
    found = normalised([f"{right} {right}"], [f"{wrong} {right}"], language=language)
    unit = len(normalised_form(language).split(right))
    assert found.num_words == 2 * unit
    assert found.num_edits >= 1
    if found.unit == "word":
        assert found.wer.value == 1 / 2


def test_two_wrong_words_of_hindi_are_an_error_rate_of_one():
    found = [score(["पानी पीना"], ["पाना पाना"], language="hi") for score in (raw, normalised)]
    assert [rate.wer.value for rate in found] == [1, 1]

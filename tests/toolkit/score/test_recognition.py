import re
import subprocess
import sys
from pathlib import Path

import pytest

from auralign.score.metrics import word_error_rate
from auralign.score.recognition import (
    compare_recognition,
    describe_error_rate,
    normalised_form,
    score_recognition,
)

GOLDEN = Path(__file__).parents[4] / "shared" / "data" / "scoring_refs"
PUBLISHED = sorted((GOLDEN / "librispeech_is21").glob("*.result"))


def score(references, hypotheses, *, speakers=None, language="en", **options):
    utt_ids = [f"utt{number}" for number in range(len(references))]
    return score_recognition(
        references,
        hypotheses,
        utt_ids=utt_ids,
        speakers=utt_ids if speakers is None else speakers,
        seed=1,
        language=language,
        **options,
    )


def read_texts(path):
    return dict(line.split("\t")[:2] for line in path.read_text(encoding="utf-8").splitlines())


def test_rate_is_all_edits_over_all_words():
    # 1 substitution of 1 word, 1 deletion of 4 words: 2 / 5, not the mean of 1 and 1/4
    found = score(["a", "b c d e"], ["x", "b c d"]).raw
    assert (found.wer.value, found.num_edits, found.num_words) == (2 / 5, 2, 5)


def test_edits_of_every_kind_are_counted():
    # one -> two, three inserted, five six deleted: 1 + 1 + 2
    assert score(["one x five six"], ["two three x"]).raw.num_edits == 4


def test_raw_text_is_compared_as_it_is_written():
    found = score(["TEN DAYS", "it's"], ["Ten days.", "it’s"])
    assert (found.raw.wer.value, found.normalised.wer.value) == (1, 0)


def test_any_white_space_parts_words():
    assert score(["a b c d"], ["a\tb\nc\u00a0d"]).raw.num_edits == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QUILTER'S", "quilter is"),
        ("Quilter’s", "quilter is"),
        ("don‘t", "do not"),
        ("Mr. Smith's 3,000 [noise] (laughs)", "mister smith is 3000"),
        ("one hundred and one two three", "10123"),
        ("five o'clock", "50 clock"),
        ("Uh, hmm", ""),
    ],
)
def test_english_is_normalised_as_whisper_does(text, expected):
    assert " ".join(normalised_form("en").split(text)) == expected


def test_spellings_are_those_given():
    references, hypotheses = ["the colour"], ["the color"]
    rates = [score(references, hypotheses, spellings=spellings) for spellings in (None, {"colour": "color"})]
    assert [rate.normalised.wer.value for rate in rates] == [1 / 2, 0]


def test_spellings_are_read_from_a_file(tmp_path):
    (tmp_path / "english.json").write_text('{"colour": "color"}')
    form = normalised_form("en", tmp_path / "english.json")
    assert (form.split("Colour"), form.name) == (
        ["color"],
        "by Whisper's English normaliser with 1 spellings",
    )


def test_a_file_of_something_else_is_refused_by_its_name(tmp_path):
    (tmp_path / "english.json").write_text('["colour"]')
    with pytest.raises(ValueError, match=r"english\.json: no mapping of words"):
        normalised_form("en", tmp_path / "english.json")


def test_spellings_of_another_language_are_refused():
    with pytest.raises(ValueError, match="given for 'de'; they belong to English"):
        normalised_form("de", {"colour": "color"})


def test_other_languages_lose_case_and_symbols_only():
    assert normalised_form("fr").split("L’été, [bruit] 20 %!") == ["l", "été", "20"]


@pytest.mark.parametrize("language", ["zh-CN", "ja"])
def test_languages_without_spaces_are_split_into_letters(language):
    assert normalised_form(language).split("今天，天气。") == ["今", "天", "天", "气"]


def test_raw_text_of_such_a_language_counts_its_punctuation():
    found = score(["今天，好。"], ["今 天好"], language="zh")
    assert (found.raw.wer.value, found.normalised.wer.value, found.raw.unit) == (2 / 5, 0, "letter")


def test_a_reference_that_normalises_to_nothing_is_kept_and_listed():
    # two words against nothing, two of two right: 2 insertions / 2 words
    found = score(["Uh.", "a b"], ["x y", "a b"]).normalised
    assert (found.wer.value, found.num_inserted, found.empty_references) == (1, 2, ("utt0",))


def test_empty_hypotheses_are_listed_and_their_words_deleted():
    found = score(["a b", "c d"], [" ", "c d"]).raw
    assert (found.wer.value, found.empty_hypotheses) == (2 / 4, ("utt0",))


def test_no_word_left_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"1 references hold no word \(text by Whisper's English"):
        score(["uh"], ["a"])


def test_no_utterance_at_all_is_an_error():
    with pytest.raises(ValueError, match="0 references hold no word"):
        score([], [])


def test_interval_is_drawn_over_speakers():
    # of two speakers, drawn twice: both the bad one, one of each, or both the good one; the outer ones 1 in 4
    found = score(["a b"] * 4, ["x y", "x y", "a b", "a b"], speakers="kkmm").raw
    assert (found.wer.value, found.wer.low, found.wer.high, found.num_speakers) == (1 / 2, 0, 1, 2)


def test_one_speaker_gives_no_interval():
    found = score(["a b"] * 2, ["x y", "a b"], speakers="kk").raw
    assert (found.wer.value, found.wer.low, found.wer.high) == (1 / 2, None, None)


@pytest.mark.parametrize("name", ["hypotheses", "utt_ids", "speakers"])
def test_unequal_counts_are_refused_by_name(name):
    options = {"hypotheses": ["a", "b"], "utt_ids": "12", "speakers": "kk"} | {name: ["a"]}
    with pytest.raises(ValueError, match=f"2 references but 1 {name}"):
        score_recognition(["a", "b"], options.pop("hypotheses"), **options, seed=1, language="en")


def test_a_number_too_long_to_read_is_named():
    with pytest.raises(ValueError, match="hypothesis 1 of 2 cannot .*: '1111"):
        score(["a", "b"], ["a", "1" * 5000])


def test_difference_of_two_systems_by_hand():
    # 1 and 3 edits of 10 words
    references = ["a b c d e", "f g h i j"]
    found = compare_recognition(
        references,
        ["x b c d e", "f g h i j"],
        ["a b c d e", "x x x i j"],
        speakers="km",
        seed=1,
        language="en",
    )
    assert (found.raw.value, found.normalised.value) == (-2 / 10, -2 / 10)


def test_difference_is_paired():
    # the first always has one edit of five words more, however hard the speaker: no doubt about 1/5
    references = ["a b c d e"] * 4
    others = ["a b c d e", "x b c d e", "x x c d e", "x x x d e"]
    hypotheses = [other[:-1] + "y" for other in others]
    found = compare_recognition(references, hypotheses, others, speakers="kmno", seed=1, language="en").raw
    assert (found.value, found.low, found.high) == pytest.approx((1 / 5, 1 / 5, 1 / 5))


def test_the_sentence_names_rate_form_and_what_was_empty():
    found = score(["Uh.", "a b"], ["x y", ""], speakers="kk").normalised
    assert describe_error_rate(found) == (
        "WER 200.00 % (no interval; speakers: 1), 4 edits / 2 words of 2 utterances; "
        "text by Whisper's English normaliser without its list of British spellings. "
        "References without a word in this form: 1 (utt0); kept, words inserted against them: 2. "
        "Empty hypotheses: 1 (utt1); kept, as deletions."
    )


def test_the_sentence_of_letters_says_so():
    assert describe_error_rate(score(["今天"], ["今"], language="zh").raw).startswith(
        "CER 50.00 % (no interval"
    )


def test_recognition_imports_no_torch():
    code = (
        "import sys\nfrom auralign.score.recognition import normalised_form\n"
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
    rate = score_recognition(
        references.values(),
        [hypotheses[utt_id] for utt_id in references],
        utt_ids=references,
        speakers=[utt_id.split("-")[0] for utt_id in references],
        seed=1,
        language="en",
    ).raw
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
    found = score_recognition(
        references.values(), texts, utt_ids=references, speakers=references, seed=1, language="en"
    )
    assert found.raw.wer.value == word_error_rate(list(references.values()), texts)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no published spellings beside the checkout")
def test_published_spellings_are_read():
    form = normalised_form("en", GOLDEN / "whisper_english_spelling.json")
    assert (form.split("Colour"), form.name.split()[-2]) == (["color"], "1,739")


DECOMPOSED = "scho\u0308n"


def test_an_accent_of_its_own_is_part_of_its_letter_in_every_form():
    found = score([f"{DECOMPOSED} a"], ["schön a"], language="de")
    assert (found.raw.wer.value, found.normalised.wer.value) == (0, 0)
    assert "NFC" in found.raw.text


def test_letters_of_raw_text_are_composed():
    # か + dakuten is one letter: 0 edits of 1
    found = score(["か\u3099"], ["が"], language="ja").raw
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
    found = score([f"{right} {right}"], [f"{wrong} {right}"], language=language).normalised
    unit = len(normalised_form(language).split(right))
    assert found.num_words == 2 * unit
    assert found.num_edits >= 1
    if found.unit == "word":
        assert found.wer.value == 1 / 2


def test_two_wrong_words_of_hindi_are_an_error_rate_of_one():
    found = score(["पानी पीना"], ["पाना पाना"], language="hi")
    assert (found.raw.wer.value, found.normalised.wer.value) == (1, 1)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("ar", "مُحَمَّدٌ", "محمد"),  # harakat
        ("ar", "محـــمد", "محمد"),  # the stroke that makes a word longer
        ("ar", "ا\u0655سلام", "إسلام"),  # hamza below, composed
        ("ur", "عیسیٰ", "عیسی"),
        ("he", "שָׁלוֹם", "שלום"),  # niqqud
        ("hi", "क\u094d\u200dष", "क्ष"),  # a joiner is not heard
        ("hi", "\u0958लम", "क\u093cलम"),  # a letter with its nukta
        ("fa", "می\u200cخواهم", "میخواهم"),
        ("de", "Zu\u00adcker", "zucker"),  # a soft hyphen
        ("ja", "葛\U000e0100", "葛"),  # the shape of a letter
        ("ja", "ｶﾞ", "ガ"),
        ("vi", "tiê\u0301ng", "tiếng"),
        ("tr", "İstanbul", "istanbul"),
        ("fr", "l\u00b4été", "l’été"),  # an accent for an apostrophe has no letter
        ("th", "ไป\u200bไหน", "ไปไหน"),
    ],
)
def test_what_is_not_heard_is_no_error(language, one, other):
    assert normalised_form(language).split(one) == normalised_form(language).split(other)


@pytest.mark.parametrize(("language", "text"), [("fr", "L’Été, à Noël."), ("ru", "Ещё й"), ("pl", "żółć")])
def test_languages_whose_letters_are_composed_are_normalised_as_whisper_does(language, text):
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    assert normalised_form(language).split(text) == BasicTextNormalizer()(text.replace("’", "'")).split()


def test_the_form_says_how_it_differs_from_whispers():
    assert normalised_form("hi").name == (
        "by Whisper's basic normaliser, but marks stay, except harakat, niqqud and what is not seen"
    )
    assert "but marks stay" not in normalised_form("en").name


@pytest.mark.parametrize("text", ["Re\u0301sume\u0301", "Résumé"])
def test_english_drops_accents_as_whisper_does(text):
    assert normalised_form("en").split(text) == ["resume"]

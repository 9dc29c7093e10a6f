"""Word error rates of a test set as papers print them: raw and Whisper-normalised, with an interval over speakers.

    >>> sure = {"utt_ids": ["1", "2"], "speakers": ["a", "b"], "seed": 1, "language": "en"}
    >>> score = score_recognition(["IT'S TWENTY", "UH"], ["It’s 20.", "uh"], **sure)
    >>> score.raw.wer.value, score.normalised.wer.value
    (1.0, 0.0)
    >>> score.normalised.empty_references
    ('2',)

The two are different numbers of one output, so a report names which it prints. `raw` compares words as they are
written, case and punctuation included, in the composed form of Unicode (NFC): an accent of its own and one that is part of its
letter are the same. `normalised` follows Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision",
appendix C, by the normalisers that transformers ships. These know the straight apostrophe only, so curly ones are made straight
first, on both sides.

English is normalised as Whisper does. Of other languages Whisper drops every combining mark, and with them the vowels of Hindi,
Tamil or Thai, so that wrong words count as right. Here they stay (`auralign.data.text.strip_symbols`): rates of such languages
are higher than by Whisper's own, and not to be compared with those.

A reference that normalises to nothing ("UH") stays in the test set: words put against it are insertions.

Edits are counted in all, not by kind: aligners agree on their sum, but share it out differently.

Legend: N utterances; WER as a fraction, so 0.036 is printed as 3.6 %.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np

from auralign.data.text import basic_normaliser, compose
from auralign.files import read_json
from auralign.score.language import main_code
from auralign.score.metrics import CONFIDENCE, NUM_RESAMPLES, Estimate, bootstrap_ratio

# Scored by letters: five as in Whisper's paper, and Cantonese and Khmer, which part no words by spaces either.
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "yue", "km")
MARKS = "but marks stay, except harakat, niqqud and what is not seen"  # how other languages differ from Whisper's form
APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\uff07": "'"})
NUM_NAMED = 3  # utterances that a sentence names; the dataclass lists all


@dataclass(frozen=True)
class TextForm:
    """What is done to a text, on both sides, before its words are compared."""

    name: str
    unit: str  # word or letter
    split: Callable[[str], list[str]]


@dataclass(frozen=True)
class ErrorRate:
    """All edits / all words of the references, in one form of the text."""

    text: str  # the form's name
    unit: str  # word or letter: what is counted below
    wer: Estimate  # no interval from one speaker
    num_edits: int
    num_words: int
    num_utterances: int
    num_speakers: int
    empty_references: tuple[str, ...]  # ids of those without a word in this form; kept
    num_inserted: int  # words put against them, among num_edits
    empty_hypotheses: tuple[str, ...]  # ids; all words of their references are deletions


@dataclass(frozen=True)
class RecognitionScore:
    """One system on one test set, as text is written and as it is normalised."""

    language: str
    raw: ErrorRate
    normalised: ErrorRate


@dataclass(frozen=True)
class RecognitionDifference:
    """WER of a system minus WER of another on the same utterances; below zero the first is better."""

    language: str
    raw: Estimate
    normalised: Estimate


def score_recognition(
    references, hypotheses, *, utt_ids, speakers, seed, language, spellings=None, num_resamples=NUM_RESAMPLES
) -> RecognitionScore:
    """Score one system.

    Arguments
    ---------
    references, hypotheses : sequences of N texts
        As they are written: nothing is to be normalised before.
    utt_ids, speakers : sequences of N
        Speakers are drawn together: the utterances of one share what is hard about it.
    seed : int
        Of the resamples.
    language : str
        Code such as `en` or `zh-CN`; it chooses the normaliser.
    spellings : mapping or path of a JSON file, optional
        British to American spelling, for English; Whisper's own has 1,739 entries. None is {}.

    Raises
    ------
    ValueError : where the counts differ, or the references hold no word at all.
    """
    sure = {"utt_ids": utt_ids, "speakers": speakers, "seed": seed, "num_resamples": num_resamples}
    forms = raw_form(language), normalised_form(language, spellings)
    return RecognitionScore(language, *(error_rate(form, references, hypotheses, **sure) for form in forms))


def error_rate(
    form: TextForm, references, hypotheses, *, utt_ids, speakers, seed, num_resamples=NUM_RESAMPLES
) -> ErrorRate:
    """Score one system in one form of the text; arguments as of `score_recognition`."""
    references, hypotheses = list(references), list(hypotheses)
    utt_ids, speakers = [str(utt_id) for utt_id in utt_ids], list(speakers)
    _check_counts(references, hypotheses=hypotheses, utt_ids=utt_ids, speakers=speakers)
    said, heard = _split_all(form, references, "reference"), _split_all(form, hypotheses, "hypothesis")
    words, edits = _count_words(said, form), _count_edits(said, heard)
    return ErrorRate(
        text=form.name,
        unit=form.unit,
        wer=bootstrap_ratio(edits, words, clusters=speakers, seed=seed, num_resamples=num_resamples),
        num_edits=int(edits.sum()),
        num_words=int(words.sum()),
        num_utterances=len(references),
        num_speakers=len(set(speakers)),
        empty_references=_empty(said, utt_ids),
        num_inserted=int(edits[words == 0].sum()),
        empty_hypotheses=_empty(heard, utt_ids),
    )


def compare_recognition(
    references, hypotheses, others, *, speakers, seed, language, spellings=None, num_resamples=NUM_RESAMPLES
) -> RecognitionDifference:
    """WER(hypotheses) - WER(others), N texts each, drawn together; arguments as of `score_recognition`."""
    sure = {"speakers": speakers, "seed": seed, "num_resamples": num_resamples}
    forms = raw_form(language), normalised_form(language, spellings)
    found = (error_rate_difference(form, references, hypotheses, others, **sure) for form in forms)
    return RecognitionDifference(language, *found)


def error_rate_difference(
    form: TextForm, references, hypotheses, others, *, speakers, seed, num_resamples=NUM_RESAMPLES
) -> Estimate:
    """WER(hypotheses) - WER(others) in one form of the text."""
    references, hypotheses, others = list(references), list(hypotheses), list(others)
    speakers = list(speakers)
    _check_counts(references, hypotheses=hypotheses, others=others, speakers=speakers)
    said = _split_all(form, references, "reference")
    words = _count_words(said, form)
    edits = _count_edits(said, _split_all(form, hypotheses, "hypothesis"))
    other_edits = _count_edits(said, _split_all(form, others, "other hypothesis"))
    return bootstrap_ratio(
        edits - other_edits, words, clusters=speakers, seed=seed, num_resamples=num_resamples
    )


def word_accuracy(form: TextForm, reference: str, hypothesis: str) -> float:
    """1 - edits / words of one text, at least 0; of a reference without a word, 1 where the hypothesis has none either."""
    said, heard = form.split(reference), form.split(hypothesis)
    if not said:
        return float(not heard)
    return max(0.0, 1 - int(_count_edits([said], [heard])[0]) / len(said))


def describe_error_rate(rate: ErrorRate) -> str:
    """The rate in a line, with its text form and what held no word."""
    wer, name = rate.wer, "WER" if rate.unit == "word" else "CER"
    interval = "no interval"
    if wer.low is not None:
        interval = f"{100 * CONFIDENCE:.0f} % interval {100 * wer.low:.2f} to {100 * wer.high:.2f}"
    lines = [
        f"{name} {100 * wer.value:.2f} % ({interval}; speakers: {rate.num_speakers}), {rate.num_edits:,} edits / "
        f"{rate.num_words:,} {rate.unit}s of {rate.num_utterances:,} utterances; text {rate.text}."
    ]
    if rate.empty_references:
        lines.append(
            f"References without a {rate.unit} in this form: {_name_some(rate.empty_references)}; kept, "
            f"{rate.unit}s inserted against them: {rate.num_inserted}."
        )
    if rate.empty_hypotheses:
        lines.append(f"Empty hypotheses: {_name_some(rate.empty_hypotheses)}; kept, as deletions.")
    return " ".join(lines)


def raw_form(language: str) -> TextForm:
    """Text as it is written: by white space, or by character where the language writes no spaces."""
    if main_code(language) in WITHOUT_SPACES:
        return TextForm(
            "as written (in NFC), by character", "letter", lambda text: list("".join(compose(text).split()))
        )
    return TextForm("as written (in NFC)", "word", lambda text: compose(text).split())


def normalised_form(language: str, spellings=None) -> TextForm:
    """Whisper's form: numbers as digits, contractions and spelling for English; else lower case without symbols, with marks.

    Raises ValueError where spellings are given for another language than English, or are no mapping of words.
    """
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    code = main_code(language)
    if code == "en":
        spellings = _read_spellings(spellings)
        normalise, unit = EnglishTextNormalizer(spellings), "word"
        known = f"with {len(spellings):,} spellings" if spellings else "without its list of British spellings"
        name = f"by Whisper's English normaliser {known}"
    elif spellings:
        raise ValueError(f"spellings are given for {language!r}; they belong to English, so leave them out")
    else:
        by_letter = code in WITHOUT_SPACES
        normalise, unit = basic_normaliser(code, split_letters=by_letter), "letter" if by_letter else "word"
        name = f"by Whisper's basic normaliser, {MARKS}" + ("; letters split" if by_letter else "")
    return TextForm(name, unit, lambda text: normalise(compose(text).translate(APOSTROPHES)).split())


def find_spellings(hparams) -> Path | None:
    """Whisper's English spellings, `normalizer.json` of the encoder's folder, where a recipe's YAML names one that has it."""
    path = Path(hparams.own.get("encoder_folder", ".")) / "normalizer.json"
    return path if path.is_file() else None


def _read_spellings(spellings) -> Mapping[str, str]:
    place = "spellings"
    if isinstance(spellings, str | Path):
        place, spellings = str(spellings), read_json(spellings, repair="fetch Whisper's english.json again")
    spellings = {} if spellings is None else spellings
    if not isinstance(spellings, Mapping) or not all(
        isinstance(word, str) for pair in spellings.items() for word in pair
    ):
        raise ValueError(f'{place}: no mapping of words to words, such as {{"colour": "color"}}')
    return spellings


def _split_all(form, texts, side) -> list[list[str]]:
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(form.split(text))
        except ValueError as error:  # a number of more digits than Python reads: a hypothesis that loops
            raise ValueError(
                f"{side} {number} of {len(texts)} cannot be brought to its form ({error}): {text[:40]!r}...; "
                "let the decoder stop earlier"
            ) from error
    return found


def _count_words(said, form) -> np.ndarray:
    words = np.array([len(words) for words in said], dtype=np.int64)
    if not words.sum():
        raise ValueError(
            f"{len(said)} references hold no {form.unit} (text {form.name}): an error rate over them is undefined; "
            "check the manifest's text"
        )
    return words


def _count_edits(said, heard) -> np.ndarray:
    """Fewest substitutions, deletions and insertions of each utterance: int64 (N,)."""
    aligned = jiwer.process_words([" ".join(words) for words in said], [" ".join(words) for words in heard])
    return np.array(
        [
            sum(
                max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                for chunk in chunks
                if chunk.type != "equal"
            )
            for chunks in aligned.alignments
        ],
        dtype=np.int64,
    )


def _empty(texts, utt_ids) -> tuple[str, ...]:
    return tuple(utt_id for words, utt_id in zip(texts, utt_ids, strict=True) if not words)


def _name_some(utt_ids) -> str:
    more = ", ..." if len(utt_ids) > NUM_NAMED else ""
    return f"{len(utt_ids)} ({', '.join(utt_ids[:NUM_NAMED])}{more})"


def _check_counts(references, **others):
    for name, values in others.items():
        if len(values) != len(references):
            raise ValueError(f"{len(references)} references but {len(values)} {name}: each needs its own")

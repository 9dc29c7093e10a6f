"""Word error rates of a test set as papers print them, with an interval over speakers.

    >>> from auralign.text.forms import normalised_form, raw_form
    >>> references, hypotheses = ["IT'S TWENTY", "UH"], ["It’s 20.", "uh"]
    >>> for form in (raw_form("en"), normalised_form("en")):
    ...     rate = error_rate(form, references, hypotheses, speakers=["a", "b"], seed=1)
    ...     print(rate.text, rate.wer.value, rate.num_empty_references)
    as written (in NFC) 1.0 0
    by Whisper's English normaliser without its list of British spellings 0.0 1

Raw and normalised rates of one output differ, so a report must name the form (`auralign.text.forms`). A reference that is empty
after normalisation ("UH") stays in the test set: words of its hypothesis are insertions.

Edits are counted in total, not by type: aligners agree on the sum, but not on its parts.

Legend: N utterances; WER as a fraction, so 0.036 is printed as 3.6 %.
"""

from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np

from auralign.hub import is_pinned, resolve
from auralign.score.metrics import NUM_RESAMPLES, Estimate, bootstrap_ratio
from auralign.text.forms import TextForm


@dataclass(frozen=True)
class ErrorRate:
    """All edits / all reference words, in one form of the text."""

    text: str  # the form's name
    unit: str  # word or letter
    wer: Estimate  # a fraction; the interval is undefined for one speaker
    num_edits: int
    num_words: int
    num_empty_references: int  # references without a word in this form, which are kept


def error_rate(
    form: TextForm, references, hypotheses, *, speakers, seed, utt_ids=None, num_resamples=NUM_RESAMPLES
) -> ErrorRate:
    """Score one system in one form of the text.

    Arguments
    ---------
    form : TextForm
        Such as `auralign.text.forms.raw_form("en")`.
    references, hypotheses : sequences of N str
        Texts as written, not normalised.
    speakers : sequence of N
        Speaker of each utterance. Speakers are resampled, then the utterances of each.
    seed : int
        Seed of the bootstrap.
    utt_ids : sequence of N, optional
        Utterance of each text: answers to several wordings about one are drawn together. Default: each its own.
    num_resamples : int

    Raises
    ------
    ValueError : if the numbers of texts differ, or the references hold no word.
    """
    references, hypotheses, speakers = list(references), list(hypotheses), list(speakers)
    _check_counts(references, hypotheses=hypotheses, speakers=speakers)
    said, found = _split_all(form, references, "reference"), _split_all(form, hypotheses, "hypothesis")
    words, edits = _count_words(said, form), _count_edits(said, found)
    return ErrorRate(
        text=form.name,
        unit=form.unit,
        wer=bootstrap_ratio(
            edits,
            words,
            clusters=speakers,
            within=range(len(speakers)) if utt_ids is None else utt_ids,
            seed=seed,
            num_resamples=num_resamples,
        ),
        num_edits=int(edits.sum()),
        num_words=int(words.sum()),
        num_empty_references=int((words == 0).sum()),
    )


def error_rate_difference(
    form: TextForm,
    references,
    hypotheses,
    others,
    *,
    speakers,
    seed,
    utt_ids=None,
    num_resamples=NUM_RESAMPLES,
) -> Estimate:
    """WER(hypotheses) - WER(others), N texts each, resampled together; below zero the first is better."""
    references, hypotheses, others = list(references), list(hypotheses), list(others)
    speakers = list(speakers)
    _check_counts(references, hypotheses=hypotheses, others=others, speakers=speakers)
    said = _split_all(form, references, "reference")
    words = _count_words(said, form)
    edits = _count_edits(said, _split_all(form, hypotheses, "hypothesis"))
    other_edits = _count_edits(said, _split_all(form, others, "other hypothesis"))
    return bootstrap_ratio(
        edits - other_edits,
        words,
        is_share=False,
        clusters=speakers,
        within=range(len(speakers)) if utt_ids is None else utt_ids,
        seed=seed,
        num_resamples=num_resamples,
    )


def word_accuracy(form: TextForm, reference: str, hypothesis: str) -> float:
    """1 - edits / words of one text, at least 0; 1 if neither reference nor hypothesis holds a word."""
    said, found = form.split(reference), form.split(hypothesis)
    if not said:
        return float(not found)
    return max(0.0, 1 - int(_count_edits([said], [found])[0]) / len(said))


def find_spellings(recipe) -> Path | None:
    """Whisper's English spellings, `normalizer.json` beside the recipe's `encoder_folder`; None if there is no such file."""
    folder = recipe.own.get("encoder_folder", ".")
    path = (resolve(folder) if is_pinned(folder) else Path(folder)) / "normalizer.json"
    return path if path.is_file() else None


def _split_all(form, texts, side) -> list[list[str]]:
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(form.split(text))
        except ValueError as error:  # a number with more digits than Python reads, in a hypothesis that loops
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


def _count_edits(said, found) -> np.ndarray:
    """Minimum number of substitutions, deletions and insertions of each utterance: int64 (N,)."""
    aligned = jiwer.process_words([" ".join(words) for words in said], [" ".join(words) for words in found])
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


def _check_counts(references, **others):
    for name, values in others.items():
        if len(values) != len(references):
            raise ValueError(f"{len(references)} references but {len(values)} {name}: each needs its own")

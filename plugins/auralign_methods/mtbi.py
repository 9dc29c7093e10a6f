"""MTBI: the LLM's answers to many tasks, for utterances that are part speech and part text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from auralign.layout import Layout, Speech, Text, View, fill
from auralign.method import AlignmentMethod
from auralign.records import Choice

TASKS = {
    "repeat": ("Repeat this: {speech}", "Say the following once more: {speech}", "{speech}\nWhat was that again?"),
    "continue": ("Continue this: {speech}", "What might come after this? {speech}", "{speech}\nGo on from here."),
    "paraphrase": ("Say this in other words: {speech}", "Rephrase the following: {speech}", "{speech}\nPut that another way."),
    "summarise": ("Sum this up: {speech}", "In a few words, what is this? {speech}", "{speech}\nGive me the short version."),
    "keywords": ("Name the key words of this: {speech}", "Which words matter here? {speech}", "{speech}\nList the key words."),
    "intent": ("What is the speaker after? {speech}", "State the intention behind this: {speech}", "{speech}\nWhat is wanted?"),
    "sentiment": ("How does the speaker feel? {speech}", "Name the mood of this: {speech}", "{speech}\nGood mood or bad?"),
    "translate": ("Say this in German: {speech}", "Translate into German: {speech}", "{speech}\nAnd in German?"),
    "answer": ("Reply to this: {speech}", "Somebody tells you: {speech} What do you say?", "{speech}\nPlease respond."),
}  # fmt: skip


@dataclass(frozen=True)
class MTBI(AlignmentMethod):
    """Multi-task behaviour imitation with speech-text interleaving, in our reading of the abstract.

    Of MTBI (Xie et al., Interspeech 2025, arXiv:2505.18644) only the abstract was read, and there is no public code: this is
    MTBI-style. The LLM answers several tasks about the transcript, in several phrasings; its answers are the targets of the
    speech. Within an utterance random spans of words are text instead of speech, while the target stays: what was said is the
    same, so one answer serves every mixture.

    Faithful to the paper (its abstract): encoder and LLM frozen, the connector trained on paired speech and transcripts
    alone; the LLM's own answers to several tasks as targets; part of the content speech, part of it text. Not faithful: not
    known are the tasks, their wording and number, how spans are drawn and how often; all that is ours.

    Arguments
    ---------
    tasks : dict of str to list of str
        Phrasings by task, templates with one `{speech}` slot.
    tasks_per_utterance : int, optional
        Number of tasks that are drawn for each utterance, with one phrasing each; default: all.
    share_read : float
        Of the words of an interleaved utterance: how likely each span of words is text instead of speech.
    share_interleaved : float
        Of the examples. Needs word times (`auralign align`); an utterance that has an empty list of them is all speech.
    max_span : int
        Words in one span; its length is drawn.
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal, () for none; default: the toolkit's.
    """

    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: TASKS)
    tasks_per_utterance: int | None = None
    share_read: float = 0.5
    share_interleaved: float = 0.5
    max_span: int = 3
    refusals: tuple[str, ...] | None = None

    name = "mtbi"
    paper = "2505.18644"
    added = {"refusals": None}
    examples = (
        {},
        {"share_interleaved": 1.0, "tasks_per_utterance": 2, "share_read": 0.4, "max_span": 1},
        {"share_interleaved": 0.0},
    )

    def __post_init__(self):
        if self.tasks_per_utterance is not None and self.tasks_per_utterance < 1:
            raise ValueError(
                f"tasks_per_utterance {self.tasks_per_utterance}: give at least 1, or null for all tasks"
            )

    @property
    def expected_failures(self):
        """The words that are read are in the student's text."""
        reason = "words of the transcript are in the student's text: that is the interleaving"
        return {"check_student_is_not_told": reason} if self.share_interleaved else {}

    def choices(self, utterance, rng):
        """Tasks, phrasings, and which words are read."""
        names = sorted(self.tasks)
        if self.tasks_per_utterance is not None:
            names = rng.sample(names, min(self.tasks_per_utterance, len(names)))
        for task in names:
            spans = self._draw_spans(utterance, rng) if rng.random() < self.share_interleaved else []
            instruction = rng.choice(list(self.tasks[task]))
            yield Choice(task=task, instruction=instruction, options={"read": spans})

    def _draw_spans(self, utterance, rng) -> list[int]:
        """Numbers of the words that are read; at least one is left as speech."""
        if utterance.words is None:
            raise ValueError(
                "no word times to interleave by: run `auralign align` on the manifest, or set share_interleaved: 0"
            )
        read: list[int] = []
        index = 0
        while index < len(utterance.words):
            length = rng.randint(1, self.max_span)
            if rng.random() < self.share_read:
                read += range(index, min(index + length, len(utterance.words)))
            index += length
        return read if len(read) < len(utterance.words) else read[1:]

    def layout(self, utterance, choice, response):
        """The phrasing around speech that is read in part; the LLM itself was asked about the whole text."""
        mixed = fill(choice.instruction, *_interleave(utterance, set(choice.options["read"])))
        asked = fill(choice.instruction, Speech(utterance.text))
        return Layout(student=View((*mixed, response)), teacher=View((*asked, response)).read())


def cut_words(utterance) -> list[float]:
    """Where an utterance is cut between its words, half way through the pause: shares of its length, 0.0 and 1.0 included."""
    pairs = pairwise(utterance.words)
    cuts = ((before[2] + after[1]) / 2 / utterance.seconds for before, after in pairs)
    return [0.0, *(min(max(cut, 0.0), 1.0) for cut in cuts), 1.0]


def _interleave(utterance, read: set[int]):
    """The utterance as text and speech in turn, cut between words, half way through the pause."""
    if not read:
        return (Speech(utterance.text),)
    times, cuts = utterance.words, cut_words(utterance)
    # Words that take no time, such as a dash alone, have no audio without others.
    read = read | {number for number in range(len(times)) if cuts[number] >= cuts[number + 1]}
    segments: list[Text | Speech] = []
    for is_read, run in groupby(range(len(times)), key=lambda number: number in read):
        numbers = list(run)
        first, last = numbers[0], numbers[-1]
        text = " ".join(times[number][0] for number in numbers)
        if is_read:
            space = " " if last + 1 < len(times) else ""
            segments.append(Text((" " if segments else "") + text + space, "read"))
        else:
            segments.append(Speech(text, span=(cuts[first], cuts[last + 1])))
    has_speech = any(isinstance(segment, Speech) for segment in segments)
    return tuple(segments) if has_speech else (Speech(utterance.text),)

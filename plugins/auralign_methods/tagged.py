"""Tagged: many tasks at once, each under tags that say which one it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auralign.layout import Code, Layout, Speech, Text, View
from auralign.method import AlignmentMethod
from auralign.records import Choice

UNKNOWN = "unknown"
WORDS, TAGS, NOTHING = FORMS = ("words", "tags", "nothing")
TEXT, TIMES = "text", "words"  # what a task teaches, if not a label


@dataclass(frozen=True)
class Tagged(AlignmentMethod):
    """Put a prefix of tags between the speech and the answer: language, task, language of the text, timestamps, and labels.

    Qwen-Audio (arXiv:2311.07919, section 3.2). Corpora whose annotation differs, such as texts with and without punctuation,
    are trained on together: the tags say what form the answer has, so that no form has to be guessed. An utterance gives one
    example of each task whose answer it has, and the corpus gives the answer. A book of `Tags` holds one token for each
    `<slot>=<value>`, such as "task=transcribe"; which ones there are is written in the recipe (`books`), and a missing one is an
    error before training. A transcript with the text of a tag in it makes no tag, as a book reads no text.

    Faithful to the paper and its evaluation scripts (https://github.com/QwenLM/Qwen-Audio): the tags are behind the audio and
    before the answer, the more general before the more special; the language of the audio and of the text, the task, with or
    without timestamps, and a last one for the form of the output; "unknown" for what is not known; word times within the answer
    of a task of its own (SRWT), before and behind each word; cross-entropy on the answer alone. Not faithful: the connector and
    the tags are trained, and not the encoder; no first tag that says whether it is a transcription or an analysis, which the task
    says already; times are text ("0.32"), and no tokens of 0.01 s; the prefix is part of the user's turn of a chat template; a
    share of the tags is "unknown" at random, so that a tag can be left out in use, which the paper does not say.

    Arguments
    ---------
    tasks : dict of str to str
        What each task teaches: "text", the transcript; "words", each word between its times; or the name of a label or attribute.
    slots : list of str
        The tags in order: "language", "task", "text_language" (of the transcript; of a label the label "<name>_language"),
        "timestamps" ("yes" or "no"), or the name of a label or attribute.
    written : str
        "tags": tokens of a book (default); "words": words of the prompt; "nothing": no prefix, to compare with.
    book : str
        The book of the tags; default "tags".
    share_unknown : float
        How often a tag other than the task's is "unknown", at random; default 0.1.
    use : dict of str to str
        The tags at inference, by slot; default: the first task, and all others "unknown".
    """

    tasks: Mapping[str, str] = field(default_factory=lambda: {"transcribe": TEXT})
    slots: tuple[str, ...] = ("language", "task", "text_language", "timestamps")
    written: str = TAGS
    book: str = "tags"
    share_unknown: float = 0.1
    use: Mapping[str, str] = field(default_factory=dict)

    name = "tagged"
    paper = "2311.07919"
    examples = (
        {},
        {"written": WORDS, "tasks": {"transcribe": TEXT, "locate": TIMES}, "use": {"task": "locate"}},
        {"written": NOTHING},
    )

    def __post_init__(self):
        if not self.tasks or not self.slots:
            raise ValueError(f"tasks {dict(self.tasks)}, slots {list(self.slots)}: give at least one of each")
        if self.written not in FORMS:
            raise ValueError(f"written {self.written!r}: use {', '.join(FORMS)}")
        if not 0 <= self.share_unknown < 1:
            raise ValueError(f"share_unknown {self.share_unknown}: give at least 0 and less than 1")
        twice = [slot for slot in self.slots if [*self.slots].count(slot) > 1]
        if twice:
            raise ValueError(f"slots: {twice[0]!r} is given twice; leave one")
        for slot in self.use:
            if slot not in self.slots:
                raise ValueError(f"use: no slot {slot!r}; there are {', '.join(self.slots)}")
        if self.use.get("task", "") not in ("", *self.tasks):
            raise ValueError(f"use: no task {self.use['task']!r}; there are {', '.join(self.tasks)}")

    def choices(self, utterance, rng):
        """Each task whose answer the corpus has, with its tags."""
        for task in self.tasks:
            if self._answer(utterance, task) is None:
                continue
            tags = {slot: self._value(slot, utterance, task) for slot in self.slots}
            for slot in self.slots:
                if slot != "task" and rng.random() < self.share_unknown:
                    tags[slot] = UNKNOWN
            yield Choice(task=task, options={"tags": tags})

    def given_response(self, utterance, choice):
        """The corpus's answer: the LLM is not asked."""
        return self._answer(utterance, choice.task)

    def layout(self, utterance, choice, response):
        """The speech, the tags, then the answer."""
        return Layout(View((*self._read(utterance.text, choice.options["tags"]), response)))

    def slot(self, utterance):
        """The speech and the tags of `use`."""
        tags = {"task": next(iter(self.tasks)), **self.use}
        return self._read(utterance.text, {slot: tags.get(slot, UNKNOWN) for slot in self.slots})

    def _read(self, text, tags):
        prefix = {
            TAGS: (Code(self.book, tuple(f"{slot}={value}" for slot, value in tags.items())),),
            WORDS: (Text("".join(f" {slot} {value}" for slot, value in tags.items())),),
            NOTHING: (),
        }
        return (Speech(text), *prefix[self.written])

    def _answer(self, utterance, task):
        """What a task teaches of an utterance; None if the corpus does not say."""
        taught = self.tasks[task]
        if taught == TEXT:
            return utterance.text
        if taught == TIMES:
            timed = (f"{start:.2f} {word} {end:.2f}" for word, start, end in utterance.words or ())
            return " ".join(timed) or None
        label = {**utterance.attributes, **utterance.labels}.get(taught)
        return None if label is None else str(label)

    def _value(self, slot, utterance, task):
        taught = self.tasks[task]
        known = {**utterance.attributes, **utterance.labels}
        of_text = utterance.language if taught in (TEXT, TIMES) else known.get(f"{taught}_language")
        own = {
            "task": task,
            "language": utterance.language,
            "text_language": of_text,
            "timestamps": "yes" if taught == TIMES else "no",
        }
        value = {**known, **own}.get(slot)
        return UNKNOWN if value in (None, "") else str(value)

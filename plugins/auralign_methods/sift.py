"""SIFT: self-generated targets without any instruction."""

from dataclasses import dataclass

from auralign.layout import Layout
from auralign.records import Choice
from auralign_methods._azeros import TRANSCRIPT, ViewingArm


@dataclass(frozen=True)
class SIFT(ViewingArm):
    """Self-generated instruction-free tuning: give the LLM the bare transcript as if typed, and teach what it replies.

    AZeroS (arXiv:2601.06086, equations 1 to 3 and Table 3). With no instruction to lean on, the only way to lower the loss is
    to make the speech read like the text, and whatever the LLM can do with text follows. `SIFT_s` reads the transcript;
    `SIFT_sp` reads what is known of the speaker too, in slots that the student fills with speech: of one encoder, or of two,
    one for the voice and one for the words (the paper's second stage, in which the first's connector stays as it is:
    `branches`, `init_from` and `frozen` of the recipe); `SIFT_ssp` adds a persona that pretends to hear, which the teacher reads
    and the student does not.

    Faithful to the paper and its scripts (https://github.com/AudenAI/Auden): no instruction, no system prompt, no filter of
    refusals, the target written by the same frozen LLM, greedy (the paper's limit is 256 tokens), an answer cut off at the length
    limit taught without its end of turn, cross-entropy, only connectors trained; the tags around the slots for the teacher, and
    for a student with two encoders, which hears both in the view "s" too; the bare speech for a student with one; attributes in
    lower case, unknown ones left out, ages in four groups. Not faithful: the persona's wording is ours, which does not
    speak of the tags as the script's does; lower case without brackets (`normalize: True`) and the limits of length are options;
    traditional Chinese is not turned into simplified; an age of 0 is a teenager's, a young adult's in the script. The paper's
    values: `as_published/sift.yaml`.

    The loss is the default of `auralign.method.AlignmentMethod.loss`: cross-entropy on the target.

    Arguments
    ---------
    no_system_prompt : bool
        True, as in the paper; False keeps the recipe's, for a chat template that always puts one.
    normalize : bool
        Whether texts are in lower case, without what stands in brackets and without spaces between Chinese characters, as in the
        paper; default False.
    min_seconds, max_seconds, max_letters_per_second : float, optional
        Ask about utterances longer than the first, at most as long as the second and with fewer characters a second than the
        third alone; default: about all. The paper's are 1, 30 and 30.
    views : list of str
        "s", "sp", "ssp": one example of each utterance for each. The paper's final model has "s" and "sp".
    attributes : list of str
        The utterance's attributes that the LLM reads, in this order.
    voice_branch : str, optional
        The branch that encodes what the attributes describe; default: the main one encodes all.
    persona : str
        System prompt of the teacher in the view "ssp".
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal; default: none. None: the toolkit's.
    """

    name = "sift"
    fidelity = "mechanism"
    examples = (
        {},
        {"views": ("s", "sp", "ssp"), "normalize": True, "max_seconds": 30.0},
        {"views": ("s", "sp"), "voice_branch": "voice"},
    )
    added = {
        "normalize": False,
        "min_seconds": None,
        "max_seconds": None,
        "max_letters_per_second": None,
        "refusals": [],
    }

    @property
    def version(self):
        """1 had capitals and unknown values among the attributes, tags around one encoder's speech and the student's persona."""
        return "1" if set(self.views) == {TRANSCRIPT} else "2"

    def choices(self, utterance, rng):
        """Ask nothing, once for each view."""
        if self.is_chosen(utterance):
            for view in self.views:
                yield Choice(task="none", options={"view": view})

    def layout(self, utterance, choice, response):
        """The speech alone or in its slots, then the LLM's own reply to its text."""
        return Layout.of(*self.views_of(utterance, choice.options["view"], None, response))

"""SIT: self-generated targets under a generic instruction."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auralign.layout import Layout
from auralign.records import Choice
from auralign_methods._azeros import TRANSCRIPT, ViewingArm, check_place, place

DESCRIPTIONS = {
    "en": ("{speech} Describe all information you can hear.",),
    "zh": ("{speech} 描述你听到的所有信息。",),
}


@dataclass(frozen=True)
class SIT(ViewingArm):
    """Self-generated instruction tuning: ask the LLM something generic about the text, and teach its answer in its own words.

    AZeroS (arXiv:2601.06086, section on SIT, Tables 3 and 7). `SIT_s` asks to repeat the transcript. `SIT_sp` gives what is known
    of the speaker too and asks to describe it all; `SIT_ssp` adds a persona that pretends to hear, which the teacher alone
    reads. The views are those of `sift`.

    Faithful to the paper and its scripts (https://github.com/AudenAI/Auden): the requests, after the text and a space; no system
    prompt, no filter of refusals, the target written by the same frozen LLM, greedy, an answer cut off at the length limit
    taught without its end of turn, cross-entropy, only the connector trained. Not faithful: the persona's wording is ours, which
    does not speak of the tags as the script's does; lower case without brackets (`normalize: True`) and the limits of length are
    options; traditional Chinese is not turned into simplified; a language other than Chinese is asked in English, which the
    script does not know. The paper's values: `as_published/sit.yaml`.

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
        "s", "sp", "ssp": one example of each utterance for each. Table 7 of the paper has "sp" alone; its released second stage
        mixes "ssp" with `sift`'s "ssp" and "s".
    attributes : list of str
        The utterance's attributes that the LLM reads in the views "sp" and "ssp", in this order.
    voice_branch : str, optional
        The branch that encodes what the attributes describe; default: the main one encodes all.
    persona : str
        System prompt of the teacher in the view "ssp".
    refusals : list of str, optional
        Phrases by which an answer is rejected as a refusal; default: none. None: the toolkit's.
    instructions : list of str
        Templates with one `{speech}` slot for the view "s"; one is drawn at random for each utterance.
    descriptions : dict of str to list of str
        Those for the views "sp" and "ssp", by the utterance's language; "en" serves languages without their own.
    speech_place : str, optional
        "first" or "last" moves the slot of every template to its beginning or end; default None, as they are written.
    """

    instructions: tuple[str, ...] = ("{speech} Repeat the above content.",)
    descriptions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: DESCRIPTIONS)
    speech_place: str | None = None

    name = "sit"
    fidelity = "mechanism"
    examples = ({}, {"views": ("s", "sp", "ssp"), "speech_place": "last", "normalize": True})
    added = {
        "no_system_prompt": False,
        "normalize": False,
        "min_seconds": None,
        "max_seconds": None,
        "max_letters_per_second": None,
        "views": ["s"],
        "attributes": ["age", "gender", "emotion"],
        "voice_branch": None,
        "persona": ViewingArm.persona,
        "refusals": [],
        "descriptions": DESCRIPTIONS,
        "speech_place": None,
    }

    def __post_init__(self):
        super().__post_init__()
        check_place(self.speech_place)
        if set(self.views) != {TRANSCRIPT} and "en" not in self.descriptions:
            raise ValueError(
                f"descriptions of {', '.join(self.descriptions) or 'no language'}: give those of en, which other languages use"
            )

    @property
    def version(self):
        """1 had the recipe's system prompt."""
        return "2" if self.no_system_prompt else "1"

    def choices(self, utterance, rng):
        """One instruction for each view, drawn at random."""
        if not self.is_chosen(utterance):
            return
        language = utterance.language[:2].lower()
        for view in self.views:
            repeats = view == TRANSCRIPT
            described = self.descriptions.get(language) or self.descriptions.get("en", ())
            instruction = rng.choice(list(self.instructions if repeats else described))
            yield Choice(
                task="repeat" if repeats else "describe",
                instruction=place(instruction, self.speech_place),
                options={} if repeats else {"view": view},
            )

    def layout(self, utterance, choice, response):
        """The instruction with the speech in its slot, then the LLM's own answer."""
        view = choice.options.get("view", TRANSCRIPT)
        return Layout.of(*self.views_of(utterance, view, choice.instruction, response))

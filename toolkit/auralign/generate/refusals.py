"""Which answers refuse to do what was asked, by a method's own phrases or by how an assistant begins to refuse in English.

What one says to a person begins alike, "I can't wait to see you", so that the deed decides; "I'm sorry to hear that" is no
refusal, "I'm sorry, but I don't have access to that" is. tests/toolkit/generate/test_filters.py has sentences of both kinds.
"""

import re
from collections.abc import Sequence


def _any(patterns: Sequence[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


END = r"(?=\s*(?:[.,!;?]|$))"
TASK = (
    r"(?=\s*(?:[.,!;?]|$|(?:with )?(?:this|that|it|such|your|any|the (?:text|task|request|question|story|sentence))\b"
    r"(?! \w+ly)))"
)
SOUND = r"(?=\s*(?:[.,!;]|$|(?:you|any|audio|sounds?|speech|voices?|recordings?|what you|the (?:audio|recording|speech))\b))"
HELP = r"(?=\s*(?:[.,!;]|$|with\b|in\b|you (?:with|in)\b|you\s*(?:[.,!;]|$)))"

OPENING = r"(?:(?:oh|well|hi|hello|hey|hmm|no|okay|ok|sure|thanks|thank you)\b[^.!?,\n]{0,30}[.!?,]+\s*)?"
SORRY = r"(?:i am|i'm)?\s*(?:(?:so|very|really|terribly|truly) )?(?:sorry|afraid)(?: for (?:the|any) \w+)?"
APOLOGY = r"(?:my )?apologies|i (?:do )?apologi[sz]e(?: for (?:the|any) \w+)?|unfortunately|regrettably"
BUT = r"\s*(?:[,.;:!\u2014-]+\s*)?(?:(?:but|however|though|that|and|so|then)\b,?\s*)*"

ADVERBS = _any(
    "directly actually currently really physically personally simply just legally ethically also yet".split()
)
CANNOT = _any([
    r"can\s?not", "can't", "could not", "couldn't", "won't", "will not", "(?:am|'m) (?:not able|unable) to",
    "(?:am|'m) not (?:capable of|(?:programmed|designed|allowed|permitted|equipped) to)",
])  # fmt: skip
DEEDS = _any([
    "help" + HELP,
    "(?:hear|listen to)" + SOUND,
    "(?:answer|continue|complete|write|create|produce|repeat|share|support|give)" + TASK,
    "do (?:that|this)" + END,
    "assist", "process", "access", "provide", "respond", "reply", "listen", r"fulfil\w*", "comply", "generate", "translate",
    "transcribe", "engage in", "discuss", "perform", "analy[sz]e", "identify", "recogni[sz]e", "detect", "browse",
    "give (?:medical|legal|financial|advice)",
    "offer (?:advice|medical|legal|financial|any|personal|an opinion|opinions|assistance|help|guidance)",
    "open (?:files|links|urls)", "(?:view|see|play) (?:the )?(?:audio|sounds|files?|images?|pictures?|videos?)",
    "(?:play|open|understand) (?:(?:the|this|that|your|any) )?(?:audio|sounds?|speech|recordings?|files?)",
    "participate in", "interact with", "experience", "feel (?:emotions?|feelings)", "share personal",
    "have (?:feelings|emotions|opinions|access)", "promote", "condone",
    "(?:hear|listen|process|access|provid|generat)ing",
])  # fmt: skip
LACK = (
    r"(?:do not|don't) (?:(?:currently|actually|really) )?(?:have|possess)\s+"
    r"(?:(?:the|any|an?|enough|sufficient|direct|real-time|your|personal|physical|human)\s+)*"
    + _any(
        "access abilit(?:y|ies) capabilit(?:y|ies) capacity information context emotions feelings opinions body ears eyes senses "
        "experiences data".split()
    )
    + r"\b"
)
KIND = r"(?:\w+[- ])?(?:ai|a\.i\.|artificial intelligence|(?:large )?language model)"
SORT = r"(?: language)?(?: (?:model|assistant|system|program|chatbot))*"
AS_MODEL = (
    rf"(?:as|being) (?:an?|your) {KIND}{SORT}(?=\s*(?:[,.;:]|$|i\b|my\b|it\b|created|developed|trained))"
    rf"|i(?: am|'m) (?:just |only )?(?:an?|your) {KIND}{SORT}\b(?=[^.!?]*(?:\b(?:not|cannot|unable|without)\b|n't\b))"
)
DECLINE = (
    r"i (?:must|have to) (?:respectfully |politely )?decline|i refuse to (?:answer|help|assist|do)"
    r"|(?:it|that|this)(?: is|'s)(?: not|n't) (?:possible|appropriate|something|within)[^.!?]*"
    r"\b(?:for me|i can|my (?:ability|capabilities))\b"
)
REFUSAL = re.compile(
    rf"^\W*{OPENING}(?:(?:{SORRY}|{APOLOGY}){BUT})?(?:i\s*(?:{ADVERBS}\s+)*{CANNOT}\s+(?:{ADVERBS}\s+)*"
    rf"(?:be able to\s+)?{DEEDS}\b(?!\s+(?:my|our|his|her|their|enough)\b)|i {LACK}|{AS_MODEL}|{DECLINE})",
    re.IGNORECASE,
)


def is_refusal(text: str, phrases: Sequence[str] | None = None) -> bool:
    """Whether an answer refuses to do what it was asked.

    Arguments
    ---------
    text : str
    phrases : list of str, optional
        Such as the authors of a method list: a text that has one of them anywhere, in any case, is a refusal; none is if the list
        is empty. Default: English answers that begin as an assistant's refusal does (`REFUSAL`).

    >>> is_refusal("I'm sorry, but I cannot hear audio."), is_refusal("I can't wait to see you!")
    (True, False)
    >>> is_refusal("Well, as an AI language model I ...", ["AI language model"]), is_refusal("As an AI, I cannot.", [])
    (True, False)
    """
    text = text.replace("’", "'")
    if phrases is None:
        return REFUSAL.match(text) is not None
    return any(phrase.replace("’", "'").casefold() in text.casefold() for phrase in phrases)

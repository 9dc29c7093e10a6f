"""Which answers refuse to do what was asked, by a method's own phrases or by how an assistant refuses in English.

What one says to a person begins alike, "I can't wait to see you", "I can't answer the phone", so that neither the apology nor the
"can't" decides, but the deed and its object. A clause of the first two sentences refuses if it says one of these: "I cannot" with
a deed of an assistant on the matter of its task, or on nothing else ("I can't translate that text", "I can't do that"); "I do not
have" with what a program lacks; a limit of a language model; a rule that forbids it; an input that is missing.
tests/toolkit/generate/test_filters.py has sentences of both kinds.
"""

import re
from collections.abc import Sequence


def _any(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


# All patterns are in lower case, without contractions.
CONTRACTIONS = {
    "can't": "cannot",
    "can not": "cannot",
    "won't": "will not",
    "n't": " not",
    "'m": " am",
    "'re": " are",
}
CONTRACTIONS |= {
    "'ve": " have",
    "i'd": "i would",
    "it's": "it is",
    "that's": "that is",
    "there's": "there is",
}
SOUND = "(?:audio|sound|speech|voice|recording|clip|speaker)s?"
INPUTS = f"(?:{SOUND}|(?:text|sentence|file|transcript|input|passage|attachment)s?)"
INPUT = rf"(?:[\w-]+ )?{INPUTS}\b"
MESSAGE = r"(?:in|with|to) (?:your|this|our|the) (?:message|prompt|request|question|input|conversation)\b"
# What an assistant works on, and what it will not give.
MATTER = re.compile(
    rf"\b(?:{SOUND}|(?:text|task|request|question|prompt|instruction|sentence|message|content|conversation|topic|transcript"
    "|language|file|image|video|link|website|document|opinion|attachment|passage|matter)s?|queries|query|transcription"
    "|translation|information|data|advice|assistance|guidance|internet|web|external|real-time|politics|personal|harmful"
    r"|illegal|explicit|offensive|inappropriate|dangerous|hateful|copyrighted|violence)\b"
    # what people tell each other too: only at the end of the clause
    r"|\b(?:this|that|your|the)(?: \w+)? (?:story|stories|news)$"
    # deeds on what was said
    r"|^(?:count|spell|determin|identif|translat|revers|sort|put|convert|extract|list|repeat|transcrib|provid|process)\w* "
    r"(?:.* )?(?:(?<!into )(?:words?|letters?|characters?|digits?|numbers?)$"
    r"|(?:in|into|to) (?:upper ?case|lower ?case|capitals)\b)"
    r"|^translat\w* (?:.* )?(?:in|into|to|from) (?:english|french|german|spanish|italian|portuguese|dutch|polish|russian|turkish"
    r"|chinese|mandarin|japanese|korean|arabic|hindi|latin|greek|swedish|danish|other languages?)$"
)
# What a person cannot make out either: "the text on that sign", "that language"; and how short an answer cannot be.
OF_A_THING = re.compile(
    r"^(?:see|hear|read|understand)\w* (?:.* )?"
    r"(?:(?:of|on|from) (?:the|that|this|a) (?P<thing>\w+)|(?:that|this|the|your) language)$"
)
SHORTLY = re.compile(r"\bin (?:just )?(?:one|two|three|a few|so few|a single) (?:words?|sentences?|lines?)$")
# What is missing for the deed, and so no part of its object.
WITHOUT = re.compile(
    rf" ?\bwithout (?:(?:more|further|additional|enough|any|the|an?|your) )+(?:{INPUT}|context|details?|information)\b.*"
)
PERSONAL = (
    r"\b(?:my(?! (?:own |personal )?(?:opinion|view|thought|feeling)s?\b)|our|his|her|their"
    r"|enough(?! (?:context|information|data)))\b"
)
DEED = (
    "(?:do(?:ing)?|see(?:ing)?|mak(?:e|ing)|(?:answer|continu|complet|writ|creat|produc|repeat|shar|provid|generat|translat|transcrib|process|access"
    "|perform|execut|analy|interpret|summari|describ|recogni|detect|identif|determin|brows|discuss|engag|respond|reply|comment"
    "|count|spell|put|convert|revers|extract|speak|fulfil|open|view|play|understand|read|offer|giv|recommend|endors|promot|express|verif|confirm|tell|hear|listen"
    "|assess|judg|infer|comply|assist|interact|search|rat|evaluat|help|talk|say|reveal)[a-z]*)"
)
# Deeds that need no object, and words that may be beside them.
ALONE = frozenset(
    "do answer answering comply help assist respond hear listen write translate transcribe repeat continue provide comment"
    " discuss talk say tell you that this it these those so such what was is has are were have been said saying asked ask asking"
    " here further about for with on in to as for directly due because i am".split()
)
ADVERB = "(?:(?:currently|quite|also|actually|simply|just|really|directly|physically|respectfully|politely|only) )*"
LEAD = _any(
    "but|however|though|and|so|then|because|since|as|that|unfortunately|regrettably|regretfully|sadly|no|sorry|apologies",
    r"(?:i|we) (?:am|are) (?:\w+ )?(?:sorry|afraid)(?: that)?|my apologies|i apologi[sz]e|i regret (?:to \w+(?: you)?|that)",
    "i (?:must|have to) inform you|it (?:seems|looks like|appears)|at (?:this time|the moment)",
    r"without (?!my|our|his|her|their)(?:[\w-]+ )+?(?=i )",
)
LEAD = f"(?:{LEAD} ?)*"
CANNOT = _any(
    f"(?:i|we) {ADVERB}"
    + _any(
        "cannot(?: and will not)?|will not(?: be able to)?|should not|refuse to|would (?:rather|prefer) not(?: to)?",
        "do not know how to|do not feel comfortable(?: with)?|(?:am|are) (?:not able|unable) to",
        "(?:am|are) not (?:capable of|comfortable(?: with)?|in a position to)",
        "(?:am|are) not (?:programmed|designed|allowed|permitted|equipped|trained|willing|going) to",
        "(?:do|did) not(?= (?:quite )?understand)",
        "am not sure (?:(?:if |that |whether )?i can|how to)",
    ),
    "(?:it|this|that) (?:is|would be) (?:not )?(?:possible|appropriate|inappropriate|unethical|wrong) for me to",
    "(?:it|this|that) is not something (?:that )?i can",
)
REFUSED = re.compile(rf"{LEAD}{CANNOT} {ADVERB}(?P<object>{DEED}\b.*)")
HAS_NO = _any(
    rf"(?:do|did|could) not {ADVERB}(?:have|possess|receive|see|hear|find)",
    "have no",
    "have not received",
    "lack",
)
LACKED = re.compile(rf"{LEAD}(?:i|we) {ADVERB}{HAS_NO}\b(?P<object>.*)")
LACK = re.compile(
    rf"\b(?:(?:cap)?abilit(?:y|ies)|capacity|personal \w+(?=$| (?:or|and|like|to)\b)"
    rf"|(?:information|context)(?=$| (?:about|on) (?:that|this|it|(?:the|your) (?:{SOUND}|topic|question))\b| to\b)"
    rf"|{SOUND}(?=$| (?:about|on|to|file|clip)\b)"
    rf"|{INPUTS} (?:(?:attached|provided|included|given)\b|{MESSAGE})"
    r"|(?:feelings|emotions|an opinion|opinions|ears|a body)(?:$| (?:or|like|on this|on that)\b)|access(?:$|.*\bto that\b))"
)
MODEL = r"(?:ai|(?:large )?language model|chatbot|text(?:-(?:based|only) \w+| model))\b(?! \w+er\b)"
# After an input that is missing here, and not in somebody's day: "please send the file so that I can", but not "to my office".
MISSING = (
    rf"(?= ?(?:$|[.,!?;:]|{MESSAGE}|(?:file|here|again|first|so|and|you|that|which|because)\b|(?:to|for|with) me\b"
    rf"|(?:to be|of the {SOUND}|for (?:this|the)|at (?:this|the) (?:time|moment)|to {DEED})\b))"
)
GIVE = "(?:provide|include|attach|upload|share|send)d?"
OTHERWISE = re.compile(
    LEAD
    + _any(
        rf"(?:as|being|i am) (?:(?:just|only|merely) )?an? (?:[\w-]+ )?{MODEL}"
        + _any(
            r".*\b(?:i|my|and)\b.*\b(?:not|cannot|unable|no|lack|only)\b", "[, ]*(?:i|my)?$"
        ),  # or is cut off
        rf"i (?:must|(?:am going to |will )?have to|need to|will) {ADVERB}(?:decline|pass|refuse)"
        rf"(?=$|[.,;:!]| (?:on |to {DEED} )?(?:this|that|it|(?:the|your|this|that) (?:request|question|one|task|topic))\b"
        rf"| to {DEED}\b)(?!.*{PERSONAL})",
        "i am not sure what you are asking",
        rf"there is not enough (?:information|context)"
        rf"(?: to {DEED}\b| provided| given| (?:in|about) (?:the|your|this) {INPUT}|$)",
        "(?:the|your) (?:message|prompt|request|question|input) (?:seems|appears|looks)(?: to be)? (?:incomplete|empty|blank)",
        r".*\b(?:against|violates?|beyond|outside)(?: of)? (?:my|the (?:scope|range|limits) of)\b(?: \w+)* "
        "(?:guidelines|policy|policies|programming|capabilities|abilities|(?:what )?i can)",
        "my (?:programming|guidelines|polic(?:y|ies)|capabilities|instructions) (?:do|does|will|is|are)? ?"
        r"(?:not|forbids?|prohibits?|prevents?|limited)\b",
        r"i (?:(?:can )?only|am only able to) (?:process|understand|read|work with|handle)\b.*\btext(?! message)",
        rf"(?:there (?:is|was) )?(?:no|any) {INPUT}(?: \w+){{0,2}} "
        rf"(?:provided|attached|given|included|supplied|for me|in your|to {DEED})\b",
        rf"you (?:did not|have not|forgot to) {GIVE} (?:(?:me|with|any|an?|the|your) )*{INPUT}{MISSING}",
        rf"(?:please|could you|can you)(?: please)? {GIVE} (?:(?:me|us|with|the|your|an?|some) )*{INPUT}{MISSING}"
        r"(?!.*\b(?:when|if|once|after|as soon)\b)",
        rf"(?:the|your) {INPUT} (?:is|was|were) not (?:accessible|available|provided|attached){MISSING}",
    )
)
OPENING = 400  # letters of an answer that are looked at
NUM_SENTENCES = 2
GREETING = 4  # words of a sentence that is not counted among them
SENTENCE = re.compile(r"(?<=[.!?])\s+")
CLAUSE = re.compile(r"[.,!?;:\u2013\u2014]+\s*|\s+(?=(?:so|because) )")
QUOTED = re.compile(r"[\"“”][^\"“”]*[\"“”]\W*\w")
GOES_ON = re.compile(r"[\W_]*(?:but|so|as|because|since|please|i|can|could)\b")
NARRATED = re.compile(  # but not what the user said
    r"\b(?:he|she|they)\b|(?<!\byou )(?<!\byou have )(?<!\bwas )(?<!\bis )\b(?:says?|said|asks?|asked|told)\b(?! me\b)"
)


def is_refusal(text: str, phrases: Sequence[str] | None = None) -> bool:
    """Whether an answer refuses to do what it was asked.

    Arguments
    ---------
    text : str
    phrases : list of str, optional
        Such as the authors of a method list: a text that has one of them anywhere, in any case, is a refusal; none is if the list
        is empty. Default: English answers whose beginning refuses as an assistant does. What somebody says in a story, in
        quotes, is no refusal.

    >>> is_refusal("I'm sorry, but I cannot hear audio."), is_refusal("I can't wait to see you!")
    (True, False)
    >>> is_refusal("Well, as an AI language model I ...", ["AI language model"]), is_refusal("As an AI, I cannot.", [])
    (True, False)
    """
    text = text.replace("’", "'").casefold()
    if phrases is not None:
        return any(phrase.replace("’", "'").casefold() in text for phrase in phrases)
    text = " ".join(text[:OPENING].split())
    for short, long in CONTRACTIONS.items():
        text = text.replace(short, long)
    if QUOTED.match(text):
        return False
    rest = NUM_SENTENCES
    for sentence in SENTENCE.split(text.lstrip("\"“”'`*_#>-( ")):
        starts = [0, *(match.end() for match in CLAUSE.finditer(sentence))]
        for start in starts:
            if NARRATED.search(sentence[:start]):
                return False
            if _refuses(sentence[start:]):
                return True
        rest -= len(sentence.split()) > GREETING
        if not rest or NARRATED.search(sentence):
            return False
    return False


def _refuses(sentence: str) -> bool:
    """Whether a sentence refuses with its first clause."""
    if OTHERWISE.match(sentence):
        return True
    clause = CLAUSE.split(sentence, maxsplit=1)[0]
    refused, lacked = REFUSED.match(clause), LACKED.match(clause)
    found = refused or lacked
    if not found or re.search(PERSONAL, found["object"]):
        return False
    deed = WITHOUT.sub("", found["object"])
    words = {_infinitive(word) for word in re.findall(r"[a-z]+", deed)}
    of_a_thing = OF_A_THING.match(deed)
    if SHORTLY.search(deed) or (of_a_thing and not MATTER.match(of_a_thing["thing"] or "")):
        return False
    if words == {"understand"}:  # "I do not understand", and nothing else
        return clause == sentence.rstrip(" .!?")
    is_matter = bool(MATTER.search(deed))
    if refused and words == {"hear", "you"}:  # unless the noise around is the reason
        return clause == sentence.rstrip(" .!?") or bool(GOES_ON.match(sentence[len(clause) :]))
    if refused:
        return is_matter or (words <= ALONE and words != {"help", "it"})
    return bool(LACK.search(found["object"])) or (is_matter and "access" in words)


def _infinitive(word: str) -> str:
    """A word of ALONE for its -ing form; any other word as it is."""
    stem = word.removesuffix("ing")
    return next((form for form in (word, stem, stem + "e") if form in ALONE), word)

"""Which answers refuse to do what was asked, by a method's own phrases or by how an assistant begins to refuse in English.

What one says to a person begins alike, "I can't wait to see you", "I can't answer the phone", so that neither the apology nor the
"can't" decides, but the deed and its object. An answer refuses if it begins, after greetings and apologies, with one of these: a
deed of an assistant that cannot be done on the matter of its task ("I can't translate that text"); a sense, an opinion or access
that a program lacks; a rule that forbids it; an input that is missing. tests/toolkit/generate/test_filters.py has sentences of
both kinds.
"""

import re
from collections.abc import Sequence


def _any(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


def _words(text: str) -> str:
    return _any(*text.split())


# The patterns below are in lower case, without contractions.
CONTRACTED = (
    ("can't", "cannot"), ("can not", "cannot"), ("won't", "will not"), ("n't", " not"), ("'m", " am"), ("'re", " are"),
    ("'ll", " will"), ("'ve", " have"), ("i'd", "i would"), ("it's", "it is"), ("that's", "that is"), ("there's", "there is"),
)  # fmt: skip
END = r"(?=\s*(?:[.,!;?:)\"]|$))"
PERSONAL = r"(?:my(?! (?:own |personal )?(?:opinion|view|thoughts|feelings)s?\b)|our|his|her|their|enough)\b"

# --- the matter of an assistant's task, and what it will not give
SOUND = _words(
    "audio audios sound sounds speech voice voices recording recordings clip clips speaker speakers"
)
MATTER = _any(
    SOUND,
    _words(
        "text texts task tasks request requests question questions query queries prompt prompts instruction instructions"
        " sentence sentences message messages passage passages content contents conversation topic topics subject transcript"
        " transcription translation language languages information file files image images picture pictures video videos link"
        " links url urls website websites attachment attachments document documents microphone camera details input story"
        " response answer article"
    ),
)
ADVICE = _any(
    r"(?:(?:specific|professional|personal|expert|any|direct|such) )*"
    r"(?:(?:medical|legal|financial|investment|psychological|political|religious) )+"
    r"(?:advice|opinions?|guidance|diagnos[ei]s|help|recommendations?|decisions?|views|matters|topics)",
    r"(?:an? |any |my |my own )?personal (?:opinions?|views|advice|information|data|experiences?|feelings|details|beliefs)",
    r"advice|assistance|guidance|(?:the |any )?(?:kind of )?(?:help|support)|opinions|(?:an?|my(?: own)?) (?:\w+ )?opinion",
    r"(?:(?:such|any) )?(?:harmful|illegal|explicit|offensive|inappropriate|dangerous|hateful|sensitive|sexual|violent)",
    r"real-time|external|current|live|copyrighted|confidential|private individuals|the (?:internet|web)|violence|hate speech",
)
# "This" alone, or before what an assistant works on: not "this way", not "that mistake".
POINTED = (
    rf"(?:this|that|these|those)(?:{END}|(?= (?:for|in|as|to|without|because|since|or|and|from|at|due)\b)"
    rf"|(?= (?:(?:kind|type|sort)s? of|{MATTER}|particular|specific|actions?|operations?|words?)\b))"
)
OBJECT = _any(
    POINTED,
    r"(?:(?:the|any|your|such|that|this|these|those|an?|for|of|more|what is in|the content of|the meaning of) )*"
    rf"(?:[\w-]+ )?{MATTER}\b(?! (?:machine|of (?:my|our|his|her|their)\b))",
    ADVICE + r"\b",
    r"such an?\b",
    r"anything (?:like|that|about|related)\b",
)

# --- what cannot be done
ADVERBS = r"(?:(?:directly|actually|currently|really|physically|personally|simply|just|legally|ethically|also|yet|ever)\s+)*"
CANNOT = _any(
    "cannot(?: and (?:will|would|should) not)?", "(?:could|will|should) not", "do not know how to",
    "(?:am|are) (?:not able|unable|not willing|not going|not in a position) to", "(?:am|are) not capable of",
    "(?:am|are) not (?:programmed|designed|allowed|permitted|equipped|trained|authori[sz]ed) to",
)  # fmt: skip
VERBS = _any(
    r"answer|continue|complete|write|create|produce|repeat|share|provide|generate|translate|transcribe|process|access|perform",
    r"execute|analy[sz]e|interpret|summari[sz]e|describe|recogni[sz]e|detect|identify|determine|browse|discuss|engage|respond",
    r"reply|comment|speak|fulfil+|open|view|play|see|understand|read|offer|give|recommend|endorse|condone|promote|participate",
    r"make|verify|confirm|tell|hear|listen|assess|judge|infer|comply|assist|interact|search|rate|evaluate|talk|reproduce",
    r"(?:hear|listen|process|access|provid|generat|answer|translat|transcrib|writ)ing",
)
WITH = r"(?:\s+(?:with|to|on|in|about|for|from|into|as))?\s+"
DEED = _any(
    rf"{VERBS}{WITH}(?:(?:you|people|anyone|someone) )?(?!{PERSONAL}){OBJECT}",
    r"(?:assist|answer|comply|respond|help|listen|hear|translate|transcribe)(?: (?:you|that|anyone))?"
    rf"(?: (?:here|further|directly))?{END}",
    r"(?:assist|help)(?: you)? (?:with|in)\b(?! (?:my|our|his|her|their)\b)",
    r"assist you\b",
    rf"do (?:(?:that|this|it|so)(?: for you)?{END}|what you(?: are| have)? ask)",
    rf"(?:answer|write|translate|transcribe|repeat|continue|process|provide|summari[sz]e|generate|perform) it{END}",
    rf"(?:hear|listen to) (?:you|what (?:you|was|is|has))\b(?: (?:said|say|saying|directly|speak))?{END}",
    r"(?:feel|experienc)(?:e|ing)? (?:emotions?|feelings|things|pain)\b(?! for)",
    r"have (?:feelings|emotions|opinions|access)\b(?! for)",
    r"(?:tell|say|know|determine|judge|infer|identify|detect|confirm|recogni[sz]e|hear|sense)\b"
    r"(?:(?! (?:my|our|his|her)\b)[^.!?,])*\b(?:speaker|audio|recording|transcript|voices?|tone)\b",
    r"tell you how to\b",
    r"access (?:the |any )?(?:internet|web|data|external)\b",
)
CANNOT_DEED = rf"(?:i|we)\s+{ADVERBS}{CANNOT}\s+{ADVERBS}(?:be able to\s+)?{ADVERBS}{DEED}"

# --- what a program lacks
HAS_NO = r"(?:(?:do not|cannot) (?:(?:currently|actually|really|yet) )?(?:have|possess)|have no|lack)"
OF_ANY = (
    r"(?:(?:the|any|an?|enough|sufficient|direct|real-time|your|personal|physical|human|own|necessary)\s+)*"
)
OWN = rf"(?:{END}|(?= (?:like|or|and|as|in the (?:way|same)|of (?:my|our) own)\b))"
LACK = rf"i\s+{ADVERBS}{HAS_NO}\s+" + _any(
    rf"that information{END}",
    rf"{OF_ANY}access(?:{END}|(?= to (?:{OBJECT}|(?:that|this|your|any|such|current|personal|private|data|information)\b)))",
    rf"{OF_ANY}(?:abilit(?:y|ies)|capabilit(?:y|ies)|capacity|means|way)\b(?: (?:to|of|for)\b|{END})",
    rf"{OF_ANY}(?:information|context|data)\b(?! (?:of|for) (?:my|our)\b)",
    r"(?:any )?personal (?:opinions|experiences|feelings|beliefs|preferences|emotions)\b",
    rf"{OF_ANY}(?:emotions|feelings|opinions|body|ears|eyes|senses|experiences|consciousness|beliefs|preferences){OWN}",
)

# --- what it says of itself, in a sentence that names a limit
AI = r"(?:ai|a\.i\.|artificial intelligence|(?:large )?language model|chatbot|computer program|(?:virtual|digital) assistant)"
DEVICE = (
    r"(?:machine|bot|assistant|program)(?=\s*(?:[.,;]|$|(?:and|so|but|created|designed|developed|trained)\b))"
)
KIND = (
    rf"(?:(?:just|only|merely|simply) )?(?:an?|your) (?:(?:[\w-]+ )?(?:{AI}|text-(?:based|only) [\w-]+)|{DEVICE})"
    r"(?: language)?(?: (?:model|assistant|system|program|chatbot|ai))*"
)
LIMIT = r"[^.!?]*\b(?:not|cannot|unable|without|no|lack|lacks|beyond|only|never|neither)\b"
AS_MODEL = _any(
    rf"(?:as|being|since i am|because i am) {KIND}(?=\s*(?:[.,;:]|$|i\b|my\b|it\b|created|developed|trained))"
    rf"(?=[^.!?]*\b(?:i|my|me)\b){LIMIT}",
    rf"as {KIND}[\s,]*(?:i|my|me)?\W*$",  # and is cut off
    rf"i am {KIND}(?! \w+er\b){LIMIT}",
)

# --- declining, and what forbids it
TASK_VERB = (
    r"(?:answer|writ|discuss|provid|shar|help|assist|continu|generat|creat|do|engag|comment|respond|translat|transcrib|"
    r"summari[sz]|repeat|talk|giv|say)\w*"
)
DECLINE = _any(
    r"i (?:must|(?:will )?have to|need to|am going to have to|will|respectfully|politely)\s+(?:(?:respectfully|politely)\s+)*"
    rf"(?:decline|pass|refuse)\b(?:{END}| to {TASK_VERB}| (?:this|that|your|the) \w+)",
    rf"i (?:refuse|decline) to {TASK_VERB}(?! (?:my|our|his|her|their|him|them)\b)(?={END}| {OBJECT}| (?:with|you)\b)",
    rf"i would (?:rather|prefer) not(?: to)? {TASK_VERB}(?:{WITH}{OBJECT}|{END})",
    rf"i (?:(?:do|would|can) ?not (?:feel|be)|am not) comfortable (?:with )?{TASK_VERB}(?:{WITH}{OBJECT}|{END})",
    r"(?:it|that|this) (?:is|would be|will be)(?: not)? (?:possible|appropriate|inappropriate|unethical|wrong) for me to "
    rf"(?:{DEED}|{TASK_VERB} (?:on|about|with|this|that|such)\b)",
    r"(?:it|that|this) is not (?:something|a \w+)(?: that)? i (?:can|am able to|could) "
    r"(?:help|do|assist|provide|answer|discuss|offer|comment)\b",
    r"(?:it|that|this|your|the|such)(?: (?:request|question|topic|content|task))?(?: (?:is|goes|falls|lies|would be))? "
    r"(?:not (?:within|in)|beyond|outside|against|violates)(?: of)? (?:my|our|the (?:scope|range|limits) of (?:my|our|what i))\b",
    r"(?:my|our) (?:programming|guidelines?|polic(?:y|ies)|training|design|purpose|capabilities|abilities|instructions)"
    r"(?: and \w+)? (?:(?:do|does|will|would|is|are) not|forbids?|prohibits?|prevents?|(?:is|are) limited)\b",
    rf"i am not sure (?:if |that |whether |how )?(?:i can|i could|i am able to|to) {DEED}",
    r"i (?:can|could|am able to) only (?:process|understand|read|respond to|work with|handle|communicate)\b[^.!?]*\btext",
)

# --- an input that is missing
GIVEN = r"(?:provided|attached|given|included|uploaded|available|supplied|shared|found|detected|received)"
INPUT = rf"(?:{SOUND}|text|sentence|file|transcript|input|passage|attachment)s?(?: (?:file|clip|input))?"
MISSING = _any(
    r"(?:there (?:is|was|seems to be|appears to be)(?: not)? )?(?:no|any|an?) (?:[\w-]+ )?"
    rf"{INPUT}(?: (?:is|was|were|has been|to be))? "
    rf"(?:{GIVEN}\b|(?:here )?for me\b|in your (?:message|request)|to {TASK_VERB})",
    r"i (?:did|do|have) not (?:(?:receive|received|been given) (?:any|an?|the|your)|(?:see|have|hear) any) "
    rf"(?:[\w-]+ )?{INPUT}(?= {GIVEN}| to\b| in your\b| from you\b|{END})",
    r"you (?:did not|have not|forgot to) (?:provide|include|attach|upload|share|send|give)n?e?d? (?:me )?(?:with )?"
    rf"(?:any|an?|the|your) (?:[\w-]+ )?{INPUT}\b",
    rf"(?:the|your) (?:[\w-]+ )?{INPUT} (?:is|was|were) not (?:accessible\b|{GIVEN}\b)",
    r"(?:please|could you|can you|would you)(?: please)? (?:provide|share|upload|send|attach|give)(?: (?:me|us))?(?: with)? "
    rf"(?:(?:the|your|some) (?:[\w-]+ )?{INPUT}|an? (?:{SOUND}|text|transcript|file))\b(?! of (?:my|our)\b)",
    r"i (?:do|did) not understand (?:the|your|this|that) (?:question|request|instruction|task|prompt)",
)
REFUSAL = re.compile(_any(CANNOT_DEED, LACK, AS_MODEL, DECLINE, MISSING))

# --- what may go before: "Hello! Thank you for asking, but unfortunately ..."
LEAD = re.compile(
    _any(
        r"(?:oh|well|hi|hello|hey|hmm|no|okay|ok|sure|thanks|thank you)\b[^.!?,]{0,40}[.!?,]",
        r"(?:(?:i|we) (?:am|are) )?(?:(?:so|very|really|terribly|truly) )?(?:sorry|afraid)\b"
        r"(?: (?:for|about) (?:the|any|this) \w+)?(?:,? [a-z]+(?=,))?",
        r"(?:(?:my |our )?(?:sincere )?apologies|(?:i|we) (?:do )?apologi[sz]e)\b(?: for (?:the|any) \w+)?",
        r"(?:i|we) (?:regret(?: to (?:say|inform you|tell you))?|(?:must|have to|need to) (?:inform|tell) you(?: that)?)\b",
        r"(?:unfortunately|regrettably|sadly|alas|honestly|actually|at this time|at the moment)\b",
        r"(?:i (?:completely |fully )?(?:understand|appreciate|know)|i would (?:love|like|be (?:happy|glad)) to|as much as i|"
        r"i am (?:designed|trained|programmed|meant|here) to)\b[^.!?,]{0,80}[.,]",
        r"without (?!(?:my|our|his|her|their)\b)[^.!?,]{0,40}?(?=,| i\b)",
        r"(?:that|this) is an? (?:\w+ )?(?:good|great|interesting|difficult|sensitive) (?:question|topic)\b[.!,]",
        r"it (?:seems|looks|appears)(?: (?:that|like|as if))?(?=\s)",
        r"(?:but|however|though|that|and|so|then|because)\b",
        r"[,.;:!\u2013\u2014\s-]+",
    )
)
OPENING = 400  # letters of an answer that are looked at
QUOTED = re.compile(r"[\"“”][^\"“”]*[\"“”]\W*\w")


def is_refusal(text: str, phrases: Sequence[str] | None = None) -> bool:
    """Whether an answer refuses to do what it was asked.

    Arguments
    ---------
    text : str
    phrases : list of str, optional
        Such as the authors of a method list: a text that has one of them anywhere, in any case, is a refusal; none is if the list
        is empty. Default: English answers that begin as an assistant's refusal does (`REFUSAL`), after greetings, apologies and
        the like (`LEAD`). What somebody says in a story, in quotes, is no refusal.

    >>> is_refusal("I'm sorry, but I cannot hear audio."), is_refusal("I can't wait to see you!")
    (True, False)
    >>> is_refusal("Well, as an AI language model I ...", ["AI language model"]), is_refusal("As an AI, I cannot.", [])
    (True, False)
    """
    text = text.replace("’", "'").casefold()
    if phrases is not None:
        return any(phrase.replace("’", "'").casefold() in text for phrase in phrases)
    rest = " ".join(text[:OPENING].split())
    if QUOTED.match(rest):
        return False
    for short, long in CONTRACTED:
        rest = rest.replace(short, long)
    rest = rest.lstrip("\"“”'`*_#>-(. ")
    while rest:
        if REFUSAL.match(rest):
            return True
        lead = LEAD.match(rest)
        if not lead:
            return False
        rest = rest[lead.end() :]
    return False

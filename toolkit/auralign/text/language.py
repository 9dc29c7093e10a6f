"""Language codes, for metrics that depend on the language, and a small rule that finds the language of a text."""

import re
import unicodedata
from collections import Counter


def main_code(language: str) -> str:
    """The main code: `zh` of `zh-CN` or `zh_cn`; raises ValueError on a name such as `German`, which no rule would match."""
    code = str(language).lower().replace("_", "-").split("-")[0]
    if language is None or not (code.isascii() and code.isalpha() and len(code) in (2, 3)):
        raise ValueError(f"language {language!r} is not a code; give one such as 'en', 'de' or 'zh-CN'")
    return code


# Scripts of one language each, as the first word of the Unicode names of their letters; Japanese is found before Chinese.
SCRIPTS = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "GREEK": "el", "HEBREW": "he", "THAI": "th",
    "GEORGIAN": "ka", "ARMENIAN": "hy", "KHMER": "km", "LAO": "lo", "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn",
    "MALAYALAM": "ml", "GUJARATI": "gu", "SINHALA": "si",
}  # fmt: skip
MIN_COMMON = 2  # a single word, such as "do", is of many languages
COMMON_WORDS = {
    "en": "the of and to is that was it for with you they this are not have from my what i do we be as at in on can",
    "de": "der die das und ist nicht ein eine ich sie zu den mit von auf dem wir es auch wie",
    "fr": "le les et est une des du il elle pas je vous nous dans que qui pour ce sur avec",
    "es": "el los las y es una del que no por con para su lo como pero más muy yo está",
    "it": "il gli e è una della che non per con di sono come ma più questo nel ho si mi",
    "pt": "o os as e é uma do da que não por com para seu como mas mais em eu isso",
    "nl": "de het een en is van niet dat ik je zijn op met voor maar ook aan hij wij naar",
    "pl": "i w nie na się jest to że z do jak ale co po tak od jego był przez czy",
    "sv": "och att det är en som på inte jag för av den med har till var ett om men vi",
    "tr": "ve bir bu da için ne çok ama ben o değil mi gibi daha en var ile kadar sonra olan",
    "ru": "и в не на что я он с как это но по из у мы ты же она так его",
    "uk": "і в не на що я він з як це але по у ми ти та вона так його є",
    "bg": "и на в не се за от да е с че по ще като са това ли си ми го",
    "vi": "và của là không có được cho những một các trong với người này đã khi để như đó nhưng",
    "fi": "ja on ei se että hän oli mutta kun niin myös ovat en mitä tämä jos ole kuin minä me",
    "sw": "na ya wa ni kwa katika la za hii kama yake cha hiyo lakini au pia si kuwa ambao yao",
}
# Scripts of several languages; their languages are told apart by COMMON_WORDS, or not at all.
SHARED_SCRIPTS = {
    "LATIN": ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "tr", "vi", "fi", "sw"),
    "CYRILLIC": ("ru", "uk", "bg"),
    "ARABIC": ("ar", "fa", "ur"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "BENGALI": ("bn",),
    "GURMUKHI": ("pa",),
}


def guess_language(text: str) -> str | None:
    """The language of a text, such as "en", by its script, or by which of 16 languages has most of its commonest words in it.

    None if no rule decides: fewer than two common words, or as many of two languages. It is for whole sentences; a trained classifier is
    better, and `auralign build measure --label language_id=module:function` takes one.
    """
    scripts = _scripts(text)
    for script, code in SCRIPTS.items():
        kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
        count = kana + scripts["CJK"] if code == "ja" and kana else scripts[script]
        if 2 * count > scripts.total():
            return code
    met = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    counts = {code: sum(met[word] for word in common.split()) for code, common in COMMON_WORDS.items()}
    (best, most), (_, second) = Counter(counts).most_common(2)
    return best if most >= MIN_COMMON and most > second else None


def is_in_language(text: str, language: str) -> bool:
    """Whether a text is in a language, such as "hi", as far as `guess_language` and its script tell.

    Languages of one script that the rule does not tell apart, such as Hindi and Marathi, are taken for each other.
    """
    code = main_code(language)
    found = guess_language(text)
    if found is not None or code in SCRIPTS.values():
        return found == code
    scripts = _scripts(text)
    script = next((script for script, codes in SHARED_SCRIPTS.items() if code in codes), None)
    return script is not None and 2 * scripts[script] > scripts.total()


def _scripts(text: str) -> Counter[str]:
    """The number of a text's letters in each script, by the first word of their Unicode names."""
    return Counter(unicodedata.name(letter, "").split(" ")[0] for letter in text if letter.isalpha())

"""Language codes, as the metrics that depend on the language read them."""


def main_code(language: str) -> str:
    """`zh` of `zh-CN` or `zh_cn`; ValueError for a name such as `German`, which would choose wrong without a word."""
    code = str(language).lower().replace("_", "-").split("-")[0]
    if language is None or not (code.isascii() and code.isalpha() and len(code) in (2, 3)):
        raise ValueError(f"language {language!r} is no code; give one such as 'en', 'de' or 'zh-CN'")
    return code

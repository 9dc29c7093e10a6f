"""Language codes, for metrics that depend on the language."""


def main_code(language: str) -> str:
    """The main code: `zh` of `zh-CN` or `zh_cn`; raises ValueError on a name such as `German`, which no rule would match."""
    code = str(language).lower().replace("_", "-").split("-")[0]
    if language is None or not (code.isascii() and code.isalpha() and len(code) in (2, 3)):
        raise ValueError(f"language {language!r} is no code; give one such as 'en', 'de' or 'zh-CN'")
    return code

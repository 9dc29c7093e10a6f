"""For tests: the conformance kits of alignment methods and of parts, and tiny models of the real classes in the real format."""

from auralign.testing.checks import CHECKS, CheckFailedError, check_method, parametrize_with_checks
from auralign.testing.checks.parts import CONNECTOR_CHECKS, ENCODER_CHECKS, parametrize_parts
from auralign.testing.tiny.llm import KINDS, make_tiny_llm, make_tokenizer
from auralign.testing.tiny.speech import make_speech
from auralign.testing.tiny.whisper import make_tiny_whisper

__all__ = [
    "CHECKS",
    "CONNECTOR_CHECKS",
    "ENCODER_CHECKS",
    "KINDS",
    "CheckFailedError",
    "check_method",
    "make_speech",
    "make_tiny_llm",
    "make_tiny_whisper",
    "make_tokenizer",
    "parametrize_parts",
    "parametrize_with_checks",
]

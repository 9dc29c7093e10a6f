"""The adapter of an endpoint with OpenAI's chat completions, which gets speech as `input_audio`: base64 of a WAV file.

    Endpoint("http://127.0.0.1:8000/v1").answer([Prompt("Repeat: ", samples)])

`auralign serve`, vLLM and OpenAI's own models of audio have this interface. The parts of a turn are sent in their order: text,
speech, text. A server that is busy is asked again by the client. The weights behind an endpoint are not known, so that its
identity is its address and the id of the model: give `--output` another folder if the model has changed.
"""

import base64
import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from auralign.adapters.other_model import MAX_NEW_TOKENS, SAMPLE_RATE, OtherModel, Prompt, Reply
from auralign.files import hash_value
from auralign.records import is_cut_off, shorten

SECONDS = 600.0  # that one answer may take
MAX_RETRIES = 5


class Endpoint(OtherModel):
    """A model behind an address.

    Arguments
    ---------
    address : str
    name : str, optional
        The id of the model; default: the only one that the endpoint lists.
    max_new_tokens : int, optional
        Default 128.
    """

    batch_size = 4  # requests at a time

    def __init__(self, address: str, *, name: str | None = None, max_new_tokens: int | None = None):
        try:
            import openai
        except ImportError as error:
            raise ValueError(
                f"{address}: an endpoint needs the package openai; pip install 'auralign[endpoint]'"
            ) from error
        self.address, self.max_new_tokens = address.rstrip("/"), max_new_tokens or MAX_NEW_TOKENS
        self._errors = openai
        self._client = openai.OpenAI(
            base_url=self.address,
            api_key=os.environ.get("OPENAI_API_KEY", "unused"),
            timeout=SECONDS,
            max_retries=MAX_RETRIES,
        )
        self.model = name or self._find_model()
        self.name = self.model
        self.short_name = re.sub(r"[^\w.-]+", "_", self.model).strip("._") or "endpoint"
        self.beside = Path.cwd()

    def identity(self) -> str:
        """A hash of the address, the id of the model and the length limit."""
        return hash_value([self.address, self.model, self.max_new_tokens])

    def answer(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """The answers, asked for in parallel."""
        with ThreadPoolExecutor(self.batch_size) as threads:
            return list(threads.map(self._ask, prompts))

    def _find_model(self) -> str:
        try:
            known = [one.id for one in self._client.models.list()]
        except self._errors.APIError as error:
            raise self._explain(error) from error
        if len(known) != 1:
            raise ValueError(
                f"{self.address}: lists {len(known)} models ({', '.join(sorted(known)[:5]) or 'none'}); name one: --model-name ID"
            )
        return known[0]

    def _ask(self, prompt: Prompt) -> Reply:
        messages: Any = [{"role": "user", "content": _make_content(prompt)}]
        try:
            found = self._client.chat.completions.create(
                model=self.model, messages=messages, temperature=0, max_tokens=self.max_new_tokens
            )
        except self._errors.APIError as error:
            raise self._explain(error) from error
        except ValueError as error:  # the client does not wrap what json says
            raise ValueError(f"{self.address}: the answer of {self.model} is no JSON ({error})") from error
        choices = getattr(found, "choices", None)  # a page of HTML comes back as text
        if not choices or getattr(choices[0], "message", None) is None:
            raise ValueError(
                f"{self.address}: the answer of {self.model} holds no message ({shorten(repr(found))}); is this the "
                "address of an OpenAI-style endpoint, up to /v1?"
            )
        reason = "length" if is_cut_off(choices[0].finish_reason) else "stop"
        return Reply(_read_content(choices[0].message.content), reason)

    def _explain(self, error: Any) -> Exception:
        """The client's error with the address in it."""
        if isinstance(error, self._errors.APIConnectionError):
            return ConnectionError(f"{self.address}: no answer ({error}); is the server running?")
        return ValueError(f"{self.address}: the endpoint refuses the request ({error})")


def _read_content(content: Any) -> str:
    """The text of an answer, which some servers send in parts; "" if there is none."""
    if isinstance(content, list):
        parts = (part if isinstance(part, dict) else vars(part) for part in content)
        return "".join(str(part.get("text") or "") for part in parts)
    return content or ""


def _make_content(prompt: Prompt) -> Any:
    """The parts of a turn; a string if it is text alone, as every server reads that."""
    if prompt.speech is None:
        return prompt.before + prompt.after
    data = base64.b64encode(encode_wav(prompt.speech)).decode("ascii")
    speech = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    before, after = (
        [{"type": "text", "text": text}] if text.strip() else [] for text in (prompt.before, prompt.after)
    )
    return [*before, speech, *after]


def encode_wav(samples: Any) -> bytes:
    """The bytes of a WAV file, 16 bit at 16,000 Hz, of samples (num_samples,)."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()

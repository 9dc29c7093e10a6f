"""The messages of a request: text and audio of each turn.

>>> read_messages([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
('Be brief.', [Turn(text='Hello', audio=None, role='user')])
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from auralign.layout import SLOT
from auralign.records import shorten
from auralign.serve.checks import RequestError, is_str, show

FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "aac", "m4a", "webm")
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Arguments
    ---------
    text : str
        In a turn with audio it holds `{speech}` once, at the position of the speech.
    audio : bytes, optional
        The content of an audio file; default None, a turn of text alone.
    role : str
        "user" (default) or "assistant".
    """

    text: str
    audio: bytes | None = field(default=None, repr=False)
    role: str = "user"

    def __repr__(self) -> str:
        audio = None if self.audio is None else f"{len(self.audio)} bytes"
        return f"Turn(text={self.text!r}, audio={audio}, role={self.role!r})"


def read_messages(messages: Any) -> tuple[str | None, list[Turn]]:
    """The system prompt, if there is one, and the turns."""
    if not isinstance(messages, list) or not messages:
        raise RequestError(f"messages is {show(messages)}; give a list of messages", param="messages")
    system: str | None = None
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        turn = _read_message(message, f"messages[{index}]")
        if turn.role == "system":
            if index:
                raise RequestError(
                    f"messages[{index}] is a system message; it is the first message, and there is one at most",
                    param=f"messages[{index}].role",
                )
            system = turn.text
            continue
        expected = "user" if len(turns) % 2 == 0 else "assistant"
        if turn.role != expected:
            raise RequestError(
                f"messages[{index}] has the role {turn.role!r}, {expected!r} is expected here: user and assistant "
                "alternate",
                param=f"messages[{index}].role",
            )
        turns.append(turn)
    if not turns or turns[-1].role != "user":
        raise RequestError(
            "messages has no user message to answer; end it with one of the role 'user'", param="messages"
        )
    return system, turns


def _read_message(message: Any, place: str) -> Turn:
    if not isinstance(message, dict):
        raise RequestError(f"{place} is {show(message)}; give an object with role and content", param=place)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(dict.fromkeys(ROLES.values()))
        raise RequestError(f"{place}.role is {show(role)}; this server knows {known}", param=f"{place}.role")
    for name, value in message.items():
        if value and name not in (
            "role",
            "content",
            "annotations",
        ):  # clients send an answer back with empty fields
            raise RequestError(
                f"{place}.{shorten(name)} is not supported by this server; leave it out",
                param=f"{place}.{name}",
            )
    return _read_content(message.get("content"), f"{place}.content", role=ROLES[role])


def _read_content(content: Any, place: str, *, role: str) -> Turn:
    """The text and the audio of a message; the parts are joined by line breaks in their order."""
    if isinstance(content, str):
        content, places = [{"type": "text", "text": content}], [place]
    elif isinstance(content, list) and content:
        places = [f"{place}[{index}]" for index in range(len(content))]
    else:
        raise RequestError(f"{place} is {show(content)}; give a string, or a list of parts", param=place)
    texts, audio = [], None
    for here, part in zip(places, content, strict=True):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            if not is_str(part.get("text")):
                raise RequestError(
                    f"{here}.text is {show(part.get('text'))}; give a string", param=f"{here}.text"
                )
            texts.append(part["text"])
        elif kind == "input_audio" and role == "user":
            if audio is not None:
                raise RequestError(f"{here} is a second input_audio; a turn has one at most", param=here)
            audio, position = _read_audio(part, here), len(texts)
        else:
            known = "parts of the types text and input_audio" if role == "user" else f"text alone of {role}"
            raise RequestError(f"{here} is {show(part)}; this server reads {known}", param=here)
    if audio is not None:
        return Turn(_place_speech(texts, position, place), audio)
    text = "\n".join(texts)
    if role == "user" and not text.strip():
        raise RequestError(f"{place} is empty; write something", param=place)
    return Turn(text, role=role)


def _place_speech(texts: list[str], position: int, place: str) -> str:
    """The texts of a turn with `{speech}` once: as the client marks it, else before the text of this position."""
    num_marks = sum(text.count(SLOT) for text in texts)
    if num_marks > 1:
        raise RequestError(
            f"{place} marks {num_marks} positions of the speech by {SLOT}; mark one", param=place
        )
    if not num_marks:
        texts = [*texts[:position], SLOT, *texts[position:]]
    return "\n".join(text for text in texts if text)


def _read_audio(part: dict, place: str) -> bytes:
    place = f"{place}.input_audio"
    content = part.get("input_audio")
    if not isinstance(content, dict) or not isinstance(content.get("data"), str):
        raise RequestError(
            f'{place} is {show(content)}; give {{"data": base64, "format": "wav"}}', param=place
        )
    kind = content.get("format")
    if kind not in FORMATS:
        raise RequestError(
            f"{place}.format is {show(kind)}; this server reads {', '.join(FORMATS)}",
            param=f"{place}.format",
        )
    try:
        data = base64.b64decode(content["data"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            f"{place}.data is not base64 ({error}); encode the bytes of the audio file, without a data: prefix",
            param=f"{place}.data",
        ) from error
    if not data:
        raise RequestError(
            f"{place}.data is empty; encode the bytes of the audio file", param=f"{place}.data"
        )
    return data

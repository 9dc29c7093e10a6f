"""Views to token ids, by the LLM's own chat template: the one place that knows prompts.

Generation, training, decoding and export all read their ids here. Every segment is tokenised alone and the ids are
joined, so that no merge crosses the edge between template, instruction, content and target; what users and corpora wrote
is tokenised with special tokens switched off, so that a transcript holding `<|im_end|>` stays a transcript.
"""

from dataclasses import dataclass
from functools import cached_property

from auralign.files import hash_value
from auralign.layout import DEFAULT, Speech, System, Target, View

# Stand where content goes while the chat template is rendered; letters only, so that no template trims or escapes them.
USER_MARK, ASSISTANT_MARK, SYSTEM_MARK = "AURALIGNUSER", "AURALIGNASSISTANT", "AURALIGNSYSTEM"


@dataclass(frozen=True)
class Piece:
    """A run of token ids, or, where `ids` is None, the place of a span of the speech of `branch`.

    `num_end` of a target: how many of its last ids end the turn; None of anything else. `num_read` of speech: how many ids
    the text has that it stands for.
    """

    tag: str
    ids: tuple[int, ...] | None
    branch: str = ""
    num_end: int | None = None
    span: tuple[float, float] = (0.0, 1.0)
    num_read: int = 0

    @property
    def is_speech(self) -> bool:
        return self.ids is None


@dataclass(frozen=True)
class Rendered:
    """A view as the model reads it, piece by piece. The frame's pieces carry the tag "frame"."""

    pieces: tuple[Piece, ...]

    @property
    def speech(self) -> tuple[Piece, ...]:
        """The places of speech in order."""
        return tuple(piece for piece in self.pieces if piece.is_speech)

    @cached_property
    def num_ids(self) -> int:
        """Token ids in all, speech not counted."""
        return sum(len(piece.ids) for piece in self.pieces if not piece.is_speech)

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids in order. Raises ValueError where the view holds speech, which has no ids."""
        if any(piece.is_speech for piece in self.pieces):
            raise ValueError("this view holds speech; read() it before asking for its ids")
        return tuple(token for piece in self.pieces for token in piece.ids)


@dataclass(frozen=True)
class Frame:
    """What the chat template puts before the user's turn, between it and the answer, and after the answer (ids).

    `lead` is the white space that it puts before an answer and not at the end of a prompt: Mistral's answers begin with a
    space, which the LLM writes itself.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    end: tuple[int, ...]
    lead: str = ""


class Renderer:
    """Renders views for one LLM.

    Arguments
    ---------
    tokenizer : transformers.PreTrainedTokenizerBase
        With a chat template.
    system : DEFAULT, None or str
        What a view's DEFAULT means: the template's own, no system prompt, or this text.
    template_options : dict
        Arguments of the chat template, such as `enable_thinking` or `date_string`.

    Raises
    ------
    ValueError
        Where the tokenizer has no chat template, the template loses the user's words, or special tokens in plain text
        cannot be switched off.
    """

    def __init__(
        self, tokenizer, *, system: System | str | None = DEFAULT, template_options: dict | None = None
    ):
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template; use an instruction-tuned LLM "
                "or put a chat_template.jinja beside its tokenizer"
            )
        self.tokenizer = tokenizer
        self.system = system
        self.template_options = dict(template_options or {})
        self._frames: dict[System | str | None, Frame] = {}
        self._check_text_is_data()

    def render(self, view: View) -> Rendered:
        """The whole view: frame, segments and, where it has one, the target with its end of turn."""
        frame = self.frame(view.system)
        pieces = [Piece("frame", frame.before)]
        pieces += [self._piece(segment) for segment in view.before_target().segments]
        pieces.append(Piece("frame", frame.between))
        if view.target is not None:
            ids = view.target.ids
            if ids is None:
                ids = self.encode(frame.lead + view.target.text)
            # A target cut off at the length limit has no end of turn: it would teach a false stop.
            end = frame.end if view.target.finished else ()
            pieces.append(Piece(view.target.tag, ids + end, num_end=len(end)))
        return Rendered(tuple(pieces))

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of plain text, in which nothing is a special token."""
        return tuple(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def decode(self, ids, *, stop_strings=()) -> str:
        """Text of the ids of an answer, special tokens left out, up to the first of `stop_strings`."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ends = [text.find(string) for string in stop_strings if string in text]
        return text[: min(ends, default=None)].strip()

    def holds_special(self, ids) -> bool:
        """Whether special tokens are among the ids of an answer: no text that may be taught."""
        return bool(set(ids) & set(self.tokenizer.all_special_ids))

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: the template's end of turn, and the tokenizer's end of text."""
        ends = [self.frame(DEFAULT).end[-1], self.tokenizer.eos_token_id]
        return tuple(dict.fromkeys(token for token in ends if token is not None))

    @cached_property
    def frame_hash(self) -> str:
        """Names the frame that targets and checkpoints were made with: its ids and the arguments that shaped it."""
        frames = {
            str(system): [
                list(part)
                for part in (self.frame(system).before, self.frame(system).between, self.frame(system).end)
            ]
            + [self.frame(system).lead] * bool(self.frame(system).lead)
            for system in (DEFAULT, None)
            if system is DEFAULT or self._can_omit_system()
        }
        return hash_value({"frames": frames, "options": self.template_options, "system": str(self.system)})[
            :16
        ]

    def frame(self, system: System | str | None = DEFAULT) -> Frame:
        """The template's ids around a turn under this system prompt."""
        if system is DEFAULT:
            system = self.system
        if system not in self._frames:
            self._frames[system] = self._make_frame(system)
        return self._frames[system]

    def _make_frame(self, system) -> Frame:
        if system is None and not self._can_omit_system():
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} puts its own system prompt where none is given; "
                "give the LLM a chat_template.jinja without it, or let the prompt keep it (system_prompt: default; for sift "
                "also its option no_system_prompt: False)"
            )
        prompt = self._template(system, prompt=True)
        if isinstance(system, str) and system.strip() not in prompt:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} leaves out the system prompt {system!r}; use "
                "system_prompt: null and say it in the instruction"
            )
        before, between = self._split(prompt, USER_MARK)
        begun, after = self._split(self._template(system, prompt=False), ASSISTANT_MARK)
        lead = begun.removeprefix(prompt)
        return Frame(
            lead=lead if lead.isspace() else "",
            before=self._encode_frame(before),
            between=self._encode_frame(between),
            end=self._end_of_turn(after),
        )

    def _template(self, system, *, prompt: bool) -> str:
        messages = [] if system in (None, DEFAULT) else [{"role": "system", "content": system}]
        messages.append({"role": "user", "content": USER_MARK})
        if not prompt:
            messages.append({"role": "assistant", "content": ASSISTANT_MARK})
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt, **self.template_options
        )

    def _split(self, text: str, mark: str) -> tuple[str, str]:
        if text.count(mark) != 1:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} prints a turn {text.count(mark)} times; "
                "it must print each turn once"
            )
        return tuple(text.split(mark))

    def _encode_frame(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _end_of_turn(self, text: str) -> tuple[int, ...]:
        ids = self._encode_frame(text)
        special = set(self.tokenizer.all_special_ids)
        for place, token in enumerate(ids):
            if token in special:
                return ids[: place + 1]
        if self.tokenizer.eos_token_id is None:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path} ends a turn with no special token, and its "
                "tokenizer has no eos_token: an answer would never stop"
            )
        return (self.tokenizer.eos_token_id,)

    def _can_omit_system(self) -> bool:
        """Whether giving no system message yields no system prompt: Qwen2.5's template would put its own."""
        absent = self._template(None, prompt=True)
        try:
            marked = self._template(SYSTEM_MARK, prompt=True)
        except Exception:  # a template without a system role (Gemma) raises its own jinja error
            return True
        if SYSTEM_MARK not in marked:  # a template that leaves system prompts out
            return True
        header, rest = self._split(marked, SYSTEM_MARK)
        injected = (
            absent.startswith(header) and absent.endswith(rest) and len(absent) > len(header) + len(rest)
        )
        return not injected

    def _piece(self, segment) -> Piece:
        if isinstance(segment, Speech):
            num_read = len(self.encode(segment.text))
            return Piece(segment.tag, None, segment.branch, span=segment.span, num_read=num_read)
        if isinstance(segment, Target):
            raise ValueError("a Target has its own place in a view")
        return Piece(segment.tag, self.encode(segment.text))

    def _check_text_is_data(self) -> None:
        special = set(self.tokenizer.all_special_ids)
        for token in self.tokenizer.all_special_tokens:
            if special.intersection(self.encode(f"a {token} b")) - {self.tokenizer.unk_token_id}:
                raise ValueError(
                    f"the tokenizer of {self.tokenizer.name_or_path} reads {token!r} in plain text as a special token: "
                    "transcripts could break the prompt; use its fast tokenizer (tokenizer.json)"
                )

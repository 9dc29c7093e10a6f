"""What a frozen LLM or speech encoder is: its interface and its weights; and how far another build of its weights is from it.

*Interface*: configuration, tokens and stop ids of an LLM; configuration, feature extraction and options of an encoder. A
trained connector fits no other interface. (What the chat template makes of a prompt is compared by the `frame_hash` of the
renderer.) *Weights*: the tensors. The same model is published in several builds: rounded, converted, or stored in another dtype.
A connector that was trained beside one build can be used beside another if the two are near each other. How near they are is
measured by `auralign.models.builds`.

A revision is `<hash of the interface>-<hash of the weights>`. An earlier auralign recorded a hash of all files instead.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from auralign.bases import hash_tensors, plain, stored_dtypes
from auralign.files import hash_value

# Fields of a configuration that change nothing of what a frozen model computes: how the file was written, training, and ids that
# are compared elsewhere or belong to a head that is not used.
IGNORED = frozenset(
    (
        "transformers_version", "_name_or_path", "name_or_path", "dtype", "torch_dtype", "architectures", "auto_map", "use_cache",
        "_attn_implementation", "attn_implementation", "_attn_implementation_autoset", "output_attentions",
        "output_hidden_states", "return_dict", "initializer_range", "initializer_factor", "init_std", "id2label", "label2id",
        "num_labels", "problem_type", "quantization_config", "bos_token_id", "eos_token_id", "pad_token_id",
        "gradient_checkpointing", "processor_class", "mel_filters", "return_attention_mask",
        "chunk_size_feed_forward", "_commit_hash",
    )
)  # fmt: skip
IGNORED_ENDS = ("dropout", "_pdrop", "layerdrop")
# Of an encoder's configuration: the decoder, heads, and losses of its training.
IGNORED_OF_ENCODERS = frozenset(
    (
        "vocab_size", "max_target_positions", "suppress_tokens", "begin_suppress_tokens", "forced_decoder_ids",
        "median_filter_width", "classifier_proj_size", "apply_spec_augment", "use_weighted_layer_sum",
        "tie_word_embeddings", "is_encoder_decoder",
        "alignment_heads", "num_negatives", "proj_codevector_dim", "codevector_dim", "diversity_loss_weight", "max_length",
    )
)  # fmt: skip
IGNORED_STARTS = ("decoder_", "mask_", "ctc_", "tdnn_", "xvector_", "num_codevector", "contrastive_")
FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")  # of an added token
# Texts whose ids show how a tokenizer splits and normalises: spaces, digits, case, contractions, scripts, code.
PROBES = (
    "Hello, how are you today?", " two  spaces   and a trailing one ", "don't won't it's I'll THEY'VE",
    "1234567890 3.14 1,000,000", "line one\nline two\n\n\tindented\r\n", "naïve café ÅNGSTRÖM ﬁ ½", "e\u0301 is decomposed",
    "Привет, мир", "你好，世界",
    "こんにちは、世界", "안녕하세요", "مرحبا بالعالم", "नमस्ते", "😀 👩‍👩‍👧", "def f(x):\n    return x**2  # code",
    "https://example.org/a?b=c&d=1", "\u00a0\u200b", "ANTIdisestablishmentarianism",
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """What an LLM or an encoder was loaded from.

    Arguments
    ---------
    folder : Path
        Its folder.
    interface : dict
        JSON values by name, as `llm_interface` and `encoder_interface` give them.
    weights : str
        SHA-256 of its tensors (`auralign.bases.hash_tensors`).
    earlier : callable
        From the folder to the revision that an earlier auralign recorded: a hash of all files.
    tokens : bytes
        One byte of the hash of each token, by id: enough to name a token that differs. Empty for an encoder.
    """

    folder: Path
    interface: dict
    weights: str
    earlier: Callable[[Path], str]
    tokens: bytes = field(default=b"", repr=False)

    @cached_property
    def revision(self) -> str:
        """`<hash of the interface>-<hash of the weights>`, 16 hexadecimal digits each."""
        return f"{hash_value(self.interface)[:16]}-{self.weights[:16]}"

    @cached_property
    def earlier_revision(self) -> str:
        """The revision that an earlier auralign recorded for this folder."""
        return self.earlier(self.folder)

    def describe(self) -> dict:
        """The record of this base as JSON values."""
        return {
            "interface": self.interface,
            "weights": self.weights,
            "dtypes": stored_dtypes(self.folder),
            "revision": self.revision,
        }


def llm_base(folder, model, tokenizer, stop_ids, earlier: Callable[[Path], str]) -> Base:
    """The base of a causal LLM of transformers and its tokenizer, which were loaded from a folder."""
    interface, tokens = llm_interface(model.config, tokenizer, stop_ids)
    return Base(Path(folder).absolute(), interface, hash_tensors(folder), earlier, tokens)


def llm_interface(config, tokenizer, stop_ids) -> tuple[dict, bytes]:
    """The interface of an LLM, and one byte for each token (see `Base`).

    Arguments
    ---------
    config : transformers.PretrainedConfig
    tokenizer : transformers.PreTrainedTokenizerBase
    stop_ids : sequence of int
        The ids that end an answer.
    """
    vocabulary: dict[int, str] = {}
    for token, number in sorted(tokenizer.get_vocab().items()):
        vocabulary[number] = vocabulary.get(number, "") + token
    names = [vocabulary.get(number, "") for number in range(max(vocabulary, default=-1) + 1)]
    added = {
        str(number): [token.content, *(bool(getattr(token, flag)) for flag in FLAGS)]
        for number, token in sorted(tokenizer.added_tokens_decoder.items())
    }
    interface = {
        "config": fields_of(config.to_dict(), _default(type(config)), IGNORED),
        "stop_ids": sorted(stop_ids),
        "added tokens": added,
        "vocabulary": [len(vocabulary), hash_value(names)],
        "merges": _merges(tokenizer),
        "probe strings": {text: tokenizer(text, add_special_tokens=False)["input_ids"] for text in PROBES},
    }
    return interface, b"".join(_byte(name) for name in names)


def encoder_base(folder, config, extractor, options: list, rename, earlier: Callable[[Path], str]) -> Base:
    """The base of a speech encoder.

    Arguments
    ---------
    folder : path
    config : transformers.PretrainedConfig
    extractor : transformers.SequenceFeatureExtractor
    options : list
        How it encodes: padding, dtype, layers.
    rename : callable
        The name by which a tensor of the folder counts; None if it is no part of the encoder.
    earlier : callable
        See `Base`.
    """
    interface = {
        "config": fields_of(config.to_dict(), _default(type(config)), IGNORED | IGNORED_OF_ENCODERS),
        "feature extraction": fields_of(extractor.to_dict(), _default(type(extractor)), IGNORED),
        "options": plain(options),
    }
    return Base(Path(folder).absolute(), interface, hash_tensors(folder, rename), earlier)


def fields_of(values: dict, default: dict | None, ignored: frozenset) -> dict:
    """The fields of a configuration that count and differ from the default of its class.

    A field that the class does not know is left out: no code of the class reads it. So a default that a later transformers adds
    changes nothing, and the folder may name it or not. Without a default (None) all fields count. The fields of a configuration
    within it, such as `text_config` of Gemma 3, are chosen in the same way.
    """
    default_parts = default or {}
    values = {
        name: fields_of(value, default_parts.get(name), ignored) if _is_part(name, value) else value
        for name, value in values.items()
    }
    known = values if default is None else {name: values[name] for name in values if name in default}
    return {
        name: plain(value)
        for name, value in sorted(known.items())
        if name not in ignored
        and not name.endswith(IGNORED_ENDS)
        and not (ignored > IGNORED and name.startswith(IGNORED_STARTS))
        and (
            default is None
            or name == "model_type"
            or _is_part(name, value)
            or plain(value) != plain(default[name])
        )
    }


def _is_part(name: str, value) -> bool:
    return name.endswith("_config") and isinstance(value, dict)


def _default(kind) -> dict | None:
    try:
        return kind().to_dict()
    except Exception:  # a class that came with the folder may need arguments, and raise anything
        return None


def _merges(tokenizer) -> list | None:
    """Kind of the tokenizer's model, number of merges (or pieces with scores) and their hash; None if it shows none."""
    if not tokenizer.is_fast:
        return None
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    rules = [rule if isinstance(rule, str) else " ".join(rule) for rule in model.get("merges") or []]
    if model.get("type") == "Unigram":
        rules = [f"{piece} {score:.4f}" for piece, score in model["vocab"]]
    return [model.get("type"), len(rules), hash_value(rules)]


def _byte(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=1).digest()


def tell_difference(before: dict, now: Base, tokens: bytes, *, name_token: Callable[[int], str]) -> str:
    """What differs between a recorded interface and that of a base: fields, tokens, merges or probe strings, by name.

    Arguments
    ---------
    before : dict
        The recorded interface, and `tokens`, its bytes of `Base.tokens`.
    now : Base
    name_token : callable
        From an id to the token of the present tokenizer.
    """
    found = []
    for part in dict.fromkeys((*before, *now.interface)):
        was, is_now = before.get(part), now.interface.get(part)
        if was == is_now:
            continue
        if part == "vocabulary":
            found.append(_tell_token(tokens, now.tokens, name_token))
        elif part == "merges":
            found.append("the merges of the tokenizer")
        elif isinstance(was, dict) and isinstance(is_now, dict):
            names = [name for name in {**was, **is_now} if was.get(name) != is_now.get(name)]
            label = {"added tokens": "added token", "probe strings": "ids of the text"}.get(part, part)
            told = [
                f"{label} {_quote(name)} was {_show(was, name)}, is {_show(is_now, name)}" for name in names
            ]
            found += told[:3] + [f"{len(told) - 3} more of {part}"] * (len(told) > 3)
        else:
            found.append(f"{part} was {was}, is {is_now}")
    return "; ".join(found)


def _tell_token(was: bytes, now: bytes, name_token) -> str:
    differing = [number for number, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1]]
    size = "" if len(was) == len(now) else f" (there were {len(was)} tokens, there are {len(now)})"
    if not differing and size:
        differing = [min(len(was), len(now))]
    if not differing:
        return "a token of the vocabulary"
    number = differing[0]
    named = repr(name_token(number)) if number < len(now) else "absent"
    more = f", as {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"the token with id {number}, which is {named} here, was another{more}{size}"


def _quote(name: str) -> str:
    return name if name.replace("_", "").isalnum() else repr(name)


def _show(values: dict, name: str) -> str:
    text = json.dumps(values[name], ensure_ascii=False) if name in values else "the default or absent"
    return text if len(text) <= 80 else f"{text[:79]}…"

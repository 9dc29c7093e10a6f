"""The tokens that ask a Whisper decoder for a transcript or a translation."""

TASKS = ("transcribe", "translate")


def make_prompt(config, *, language: str, task: str) -> list[int]:
    """The tokens of Whisper's prompt: start, language and task (unless the model is English-only), no timestamps.

    Arguments
    ---------
    config : transformers.GenerationConfig
        Of the Whisper.
    language : str
        Such as "en".
    task : str
        "transcribe" or "translate".

    Returns list of int. Raises ValueError if the model does not know the language or the task.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r}: use {' or '.join(TASKS)}")
    known = {token.strip("<|>"): number for token, number in getattr(config, "lang_to_id", {}).items()}
    if not getattr(config, "is_multilingual", bool(known)):
        if (language, task) != ("en", TASKS[0]):
            raise ValueError(
                f"language {language!r}, task {task!r}: this Whisper transcribes English (en) alone"
            )
        wanted = []
    elif language not in known:
        raise ValueError(f"language {language!r}: this Whisper knows {', '.join(sorted(known))}")
    else:
        wanted = [known[language], config.task_to_id[task]]
    return [config.decoder_start_token_id, *wanted, config.no_timestamps_token_id]

"""Processes of their own for what may die as by kill -9, without the seconds that starting Python with torch costs.

    run_python("import os, sys; os._exit(int(sys.argv[1]))", 9).returncode == 9

They are forked from a server that has imported the libraries and used none of them.
"""

import itertools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    """auralign.script auralign.steps auralign.testing auralign.generate.engine auralign.train.brain auralign.decode.answers
    auralign.models.build auralign.models.connectors auralign.models.encoders auralign_methods.sift hyperpyyaml peft
    torch._dynamo transformers.generation.utils transformers.models.llama.modeling_llama
    transformers.models.whisper.modeling_whisper""".split()
)
MOST_SECONDS = 300
KILLED = 137  # the exit code that a shell gives for kill -9


def die_at(moment, *names):
    """Let this process end, as by kill -9, instead of its nth call (`moment`, from 1) of these functions of `os`."""
    calls = itertools.count(1)

    def dying(real):
        def call(*arguments, **options):
            if next(calls) == moment:
                os._exit(KILLED)
            return real(*arguments, **options)

        return call

    for name in names:
        setattr(os, name, dying(getattr(os, name)))


def run_python(code, *arguments, cwd="."):
    """Do what `python -c CODE ARGUMENTS` does, with one thread; gives a CompletedProcess."""
    with tempfile.TemporaryDirectory() as folder:
        words = [str(argument) for argument in arguments]
        process = PROCESSES.Process(target=_execute, args=(code, words, str(cwd), folder))
        process.start()
        process.join(MOST_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"still running after {MOST_SECONDS} s: {code}")
        out, err = (Path(folder, name).read_text(encoding="utf-8") for name in ("out", "err"))
        return subprocess.CompletedProcess(words, process.exitcode, out, err)


def _execute(code, words, cwd, folder):
    import torch

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT), number)
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.chdir(cwd)
    sys.argv = ["-c", *words]
    sys.path.insert(0, "")
    exec(compile(code, "-c", "exec"), {"__name__": "__main__"})

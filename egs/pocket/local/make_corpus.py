"""Stage 0 of the pocket model: questions and statements of 1,500 words, spoken by speech synthesis.

    python local/make_corpus.py --output corpus/full [--quick]
    python local/make_corpus.py --output corpus/own --texts FILE     sentences of yours, one a line, in the same voices

Most clips are espeak-ng's, in many voices; at most a quarter of the training clips are those of a neural voice, hibari. Half of
the training clips get the sound of a room or a microphone. Voices of the group "new voice" never speak in training, and "new
engine" is spoken by SVOX Pico, if `pip install ttspico` was run.
An interrupted run is finished by the same command.

Writes: <output>/<split>/<id>.flac (16 kHz, mono) and, last, <output>/labels.jsonl
"""

import argparse
import json
import random
import sys
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).parents[1]))
from local.texts import GRAMMAR, LLM_TEXTS, WORD_STRINGS, Text, make_texts, split_texts  # noqa: E402

from auralign import __version__, script  # noqa: E402
from auralign.files import write_atomically  # noqa: E402
from auralign.progress import track  # noqa: E402
from auralign.stage import Stage  # noqa: E402

SAMPLE_RATE = 16_000
ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-us-nyc")
VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "f1", "f2", "f4", "Alex", "Alicia", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique",
    "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Reed", "adam", "antonio", "aunty", "belinda", "benjamin",
    "boris", "caleb", "david", "ed", "edward", "grandma", "grandpa", "ian", "iven", "john", "linda", "marcelo", "max", "michel",
    "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor",
    "zac",
)  # fmt: skip
NEW_VARIANTS = ("m5", "m7", "m8", "f3", "f5", "Andrea")
QUICK_VARIANTS = VARIANTS[:8]
NEURAL, ESPEAK, PICO = "hibari", "espeak", "pico"
NEURAL_SHARE = 0.24  # drawn clip by clip, so that a quarter is not exceeded by chance
RECORDED_SHARE = 0.5  # of the training clips, made to sound as if recorded
NUM_TRAIN, NUM_TRAIN_QUICK = 12_000, 2_600
NUM_STRINGS = 4_000  # of words, in addition; the quick corpus has none
NUM_TEST_QUICK = 20  # texts of each group of the test set
# The neural voice's samples are played faster or slower for other voices: (up, down) of the resampling from 24 kHz.
PITCHES = {"low": (3, 4), "lower": (7, 10), "own": (2, 3), "higher": (5, 8), "high": (3, 5)}
NUM_SPECIAL = 12  # silences, noises, and sentences of another language, each
GERMAN = (
    "Wie spät ist es?", "Wo ist der Bahnhof?", "Ich trinke gern Kaffee.", "Was kostet das Brot?", "Das Wetter ist schön.",
    "Mein Bruder wohnt in Berlin.", "Kannst du mir helfen?", "Heute gehen wir ins Kino.", "Der Hund schläft.",
    "Wie heißt du?", "Ich habe Hunger.", "Gute Nacht.",
)  # fmt: skip
# By group of the test set, texts that one word tells apart, of words that are trained.
PAIRS = {
    "minimal pair": (
        ("Is the book red?", "Is the book green?"), ("Say four plus five.", "Say four minus five."),
        ("Can your dog swim?", "Can your dog run?"), ("Is Peru near Chile?", "Is Peru near China?"),
        ("Does a bee eat rice?", "Does a bear eat rice?"), ("Tell me about your sun.", "Tell me about your son."),
        ("Name six big rivers.", "Name six big birds."), ("Where is my hat?", "Where is my cat?"),
        ("My goat is old.", "My boat is old."), ("My sister is sick.", "My sister is rich."),
        ("Is the river cold?", "Is the river old?"), ("Is this a ship?", "Is this a shop?"),
        ("I walk at night.", "I work at night."), ("Where is the light?", "Where is the night?"),
        ("Is bread good?", "Is red good?"),
    ),
    "negation": (
        ("The door is open.", "The door is not open."), ("My mother is happy.", "My mother is not happy."),
        ("I like to sing at night.", "I do not like to sing at night."), ("Is the room hot?", "Is the room not hot?"),
        ("The shop is far.", "The shop is not far."), ("My dog can swim.", "My dog cannot swim."),
        ("I have a car.", "I have no car."), ("The water is cold.", "The water is not cold."),
        ("Is the book old?", "Is the book not old?"), ("My brother is tired.", "My brother is not tired."),
        ("I want to go home.", "I do not want to go home."), ("My tea is hot.", "My tea is never hot."),
        ("Tell me to sleep.", "Tell me not to sleep."), ("I am hungry.", "I am not hungry."),
        ("There is milk in the house.", "There is no milk in the house."),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """A clip to be made.

    Arguments
    ---------
    id, split : str
        The split is train, valid, test, or other: clips that are answered and shown, but have no right answer.
    group : str
        Of the test set: what the clip holds that training lacks.
    text : str
    engine, voice : str
        Voice as the engine names it.
    """

    id: str
    split: str
    group: str
    text: str
    engine: str
    voice: str
    language: str = "en"
    template: str = ""
    fillers: tuple[str, ...] = field(default=())


def plan(splits: dict[str, list[Text]], *, variants=VARIANTS, seed: int) -> list[Clip]:
    """All clips, in order.

    Arguments
    ---------
    splits : dict of str to list of Text
        The texts of "train", of "valid", of each group of the test set, and perhaps `WORD_STRINGS` for training. Those of the
        first group of the test set are spoken by new voices and by a new engine too.
    variants : sequence of str
        Of the espeak-ng voices of training; default all.
    seed : int
    """
    rng = random.Random(f"{seed}-voices")
    splits = dict(splits)
    train, valid, strings = (splits.pop(name, []) for name in ("train", "valid", WORD_STRINGS))
    clips: list[Clip] = []

    def add(split, group, text, engine, voice, **more):
        name = (
            f"{group.replace(' ', '-')}-{sum(clip.group == group for clip in clips) + 1:05d}" if group else ""
        )
        name = name or f"{split}-{len(clips) + 1:05d}"
        clips.append(Clip(f"{name}", split, group, text, engine, voice, **more))

    def known_voice():
        if rng.random() < NEURAL_SHARE:
            return NEURAL, rng.choice(list(PITCHES))
        return ESPEAK, f"{rng.choice(ACCENTS)}+{rng.choice(variants)}"

    def made_of(text):
        return {"template": text.template, "fillers": text.fillers}

    for split, texts in (("train", train), ("valid", valid)):
        for text in texts:
            add(split, "", text.words, *known_voice(), **made_of(text))
    for group, texts in splits.items():
        for text in texts:
            add("test", group, text.words, *known_voice(), **made_of(text))
    for group, engine, voices in (
        ("new voice", ESPEAK, [f"{accent}+{variant}" for variant in NEW_VARIANTS for accent in ACCENTS]),
        ("new engine", PICO, ["en-US", "en-GB"]),
    ):
        for text in next(iter(splits.values())):
            add("test", group, text.words, engine, rng.choice(voices), **made_of(text))
    for group, pairs in PAIRS.items():
        for text in chain.from_iterable(pairs):
            add("test", group, text, ESPEAK, f"en-us+{rng.choice(variants)}")
    for number in range(NUM_SPECIAL):
        add("other", "silence", "", "silence", "silence")
        add("other", "noise", "", "noise", "noise")
        add("other", "German", GERMAN[number], ESPEAK, f"de+{rng.choice(variants)}", language="de")
    for text in strings:
        add("train", "", text.words, *known_voice())
    return clips


def as_recorded(samples, rng: numpy.random.Generator) -> numpy.ndarray:
    """A clip as a microphone in a room might have it: an echo, another tone, a hum of noise, or only a telephone's band.

    Arguments
    ---------
    samples : numpy.ndarray
        (num_samples,), 16 kHz.
    rng : numpy.random.Generator
    """
    from scipy.signal import butter, fftconvolve, lfilter, resample_poly

    number = len(samples)
    if rng.random() < 0.5:  # an exponentially decaying room, -60 dB after 0.1 to 0.5 s
        length = round(rng.uniform(0.1, 0.5) * SAMPLE_RATE)
        room = rng.standard_normal(length) * 10 ** (-3 * numpy.arange(length) / length)
        room *= rng.uniform(0.2, 0.8) / numpy.linalg.norm(room)
        room[0] = 1.0
        samples = fftconvolve(samples, room)[:number]
    if rng.random() < 0.5:  # a shelf of at most 12 dB above or below some frequency
        kind, edge = rng.choice(["lowpass", "highpass"]), rng.uniform(300, 3000)
        part = lfilter(*butter(1, edge, kind, fs=SAMPLE_RATE), samples)
        samples = samples + rng.uniform(-0.75, 3.0) * part
    if rng.random() < 0.25:
        samples = resample_poly(resample_poly(samples, 1, 2), 2, 1)[:number]
    power = numpy.sqrt(numpy.mean(numpy.square(samples))) or 1.0
    if rng.random() < 0.5:  # 10 to 35 dB below the speech
        color = lfilter([1.0], [1.0, -rng.uniform(0.0, 0.95)], rng.standard_normal(number))
        samples = samples + color * (power / color.std()) * 10 ** (-rng.uniform(10, 35) / 20)
    return samples * (0.3 / max(numpy.abs(samples).max(), 1e-3))


class Engines:
    """Every way to make speech; each engine is loaded when it is first needed."""

    def __init__(self):
        self._loaded = {}

    def speak(self, clip: Clip) -> numpy.ndarray:
        """The float32 samples of a clip, at 16 kHz."""
        rng = random.Random(clip.id)
        samples = getattr(self, f"_{clip.engine}")(clip, rng)
        if clip.split == "train" and rng.random() < RECORDED_SHARE:
            samples = as_recorded(samples, numpy.random.default_rng(rng.randrange(2**32)))
        noise = numpy.random.default_rng(rng.randrange(2**32)).standard_normal(len(samples))
        samples = samples * rng.uniform(0.4, 1.0) + rng.choice((0.0, 0.001, 0.003)) * noise
        return numpy.clip(samples, -1, 1).astype(numpy.float32)

    def _espeak(self, clip, rng):
        from auralign.builders.espeak import say

        words_per_minute, pitch = rng.randint(120, 190), rng.randint(35, 65)
        return say(clip.text, voice=clip.voice, words_per_minute=words_per_minute, pitch=pitch)[0]

    def _hibari(self, clip, rng):
        from scipy.signal import resample_poly

        if NEURAL not in self._loaded:
            from hibari import Hibari

            self._loaded[NEURAL] = Hibari()
        speed = rng.choice((0.85, 0.95, 1.0, 1.1, 1.2))
        samples = self._loaded[NEURAL](clip.text, speed=speed, seed=rng.randrange(2**31))
        return resample_poly(samples, *PITCHES[clip.voice])

    def _pico(self, clip, rng):
        if (PICO, clip.voice) not in self._loaded:
            from ttspico import TtsEngine

            self._loaded[PICO, clip.voice] = TtsEngine(clip.voice)
        data = self._loaded[PICO, clip.voice].speak(clip.text)
        return numpy.frombuffer(data, "<i2").astype(numpy.float32) / 32768

    def _silence(self, clip, rng):
        return numpy.full(round(rng.uniform(1, 3) * SAMPLE_RATE), 1e-4)

    def _noise(self, clip, rng):
        number = round(rng.uniform(1, 3) * SAMPLE_RATE)
        return 0.05 * numpy.random.default_rng(rng.randrange(2**32)).standard_normal(number)


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for the clips")
    parser.add_argument(
        "--quick", action="store_true", help=f"{NUM_TRAIN_QUICK} training clips of templates, few voices"
    )
    parser.add_argument(
        "--num-train", type=int, help=f"training clips (default: {NUM_TRAIN}, quick {NUM_TRAIN_QUICK})"
    )
    parser.add_argument(
        "--texts", type=Path, help="sentences to speak in place of ours, one a line; some are held out"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    number = options.num_train or (NUM_TRAIN_QUICK if options.quick else NUM_TRAIN)
    sources = [options.texts] if options.texts else [GRAMMAR, LLM_TEXTS]
    inputs = {
        "auralign": __version__,
        "texts": [path.read_text(encoding="utf-8") for path in sources],
        "clips": [options.quick, number, options.seed, *[NUM_STRINGS] * (not options.quick)],
    }
    labels = options.output / "labels.jsonl"
    with Stage("corpus", options.output, inputs=inputs, outputs=[labels]) as stage:
        if stage.complete:
            return
        if options.texts:
            splits = split_texts(options.texts, num_train=number, seed=options.seed)
        else:  # the quick corpus has templates only, and few voices
            quick = {"share_of_llm": 0.0, "num_test": NUM_TEST_QUICK}
            how = quick if options.quick else {"num_strings": NUM_STRINGS}
            splits = make_texts(num_train=number, seed=options.seed, **how)
        variants = QUICK_VARIANTS if options.quick else VARIANTS
        clips = plan(splits, variants=variants, seed=options.seed)
        try:
            import ttspico  # noqa: F401
        except ImportError:
            clips = [clip for clip in clips if clip.engine != PICO]
            print(
                "corpus: the group 'new engine' is left out: it needs pip install ttspico (and a C compiler)"
            )
        seconds = speak_all(clips, options.output)
        with write_atomically(labels) as file:
            for clip, length in zip(clips, seconds, strict=True):
                row = {**asdict(clip), "audio": str(path_of(clip)), "seconds": length}
                print(json.dumps(row, ensure_ascii=False), file=file)
        print(f"corpus: {len(clips)} clips, {sum(seconds) / 3600:.1f} h of speech, in {options.output}")


def path_of(clip: Clip) -> Path:
    """Where the clip lies, seen from the corpus."""
    return Path(clip.split) / f"{clip.id}.flac"


def speak_all(clips: list[Clip], folder: Path) -> list[float]:
    """Make the clips that are not there; returns the seconds of each."""
    import soundfile

    engines, seconds = Engines(), []
    for clip in track(clips, "corpus", unit="clip"):
        path = folder / path_of(clip)
        if not path.is_file():
            with write_atomically(path, "wb") as file:
                soundfile.write(file, engines.speak(clip), SAMPLE_RATE, format="FLAC")
        seconds.append(soundfile.info(path).duration)
    return seconds


if __name__ == "__main__":
    script.run(main)

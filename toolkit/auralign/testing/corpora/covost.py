"""A look-alike of CoVoST 2 and of the Common Voice release that it translates, with the traps of the real ones."""

from pathlib import Path

import soundfile

from auralign.files import PathLike
from auralign.testing.corpora.files import cut
from auralign.testing.tiny.speech import make_speech

# clip: (sentence, translation, split), as they are meant; each has an mp3 of 0.5 s.
CLIPS = {
    "plain": ("Hello there.", "Guten Tag.", "train"),
    "quote": ('He said "six', 'Er sagte "sechs', "train_covost"),
    "tab": ("One two", "Eins\tzwei", "train"),
    "backslash": ("A or B", "A\\B", "train"),
    "NA": ("NA", "NA", "train"),
    "nfc": ("caf\u00e9", "Caf\u00e9", "train"),
    "nfd": ("cafe\u0301", "Cafe\u0301", "train"),
    "arabic": ("Welcome", "مرحبا", "train"),
    "chinese": ("You are welcome", "不客气", "train"),
    "cut": ("Half of it", "Die Hälfte", "train"),
    "valid": ("Six", "Sechs", "dev"),
    "test": ("Seven", "Sieben", "test"),
    "old_valid": ("Eight", "Acht", "dev_covost"),
    "old_test": ("Nine", "Neun", "test_covost"),
}
CLIENTS = {"quote": ("b" * 128, "thirties", "female", "us"), "tab": ("b" * 128, "", "other", "")}
# Without traps, for a recipe to run on: a speaker's letter, the split, and what is said, in English and German.
SOUND_CLIPS = """\
c train | The train leaves at six. | Der Zug fährt um sechs ab.
c train | She lives near the river. | Sie wohnt in der Nähe des Flusses.
c train | "Where is my coat?" he asked. | „Wo ist mein Mantel?“, fragte er.
d train | It rained all night. | Es regnete die ganze Nacht.
d train | My brother plays the piano. | Mein Bruder spielt Klavier.
d train | Close the window, please. | Schließ bitte das Fenster.
e train_covost | The bridge was built in 1902. | Die Brücke wurde 1902 gebaut.
e train_covost | Nobody answered the phone. | Niemand ging ans Telefon.
e train_covost | The soup is too hot. | Die Suppe ist zu heiß.
e train_covost | We walked home through the park. | Wir gingen durch den Park nach Hause.
f dev | The shop opens at nine. | Der Laden öffnet um neun.
f dev | He forgot his keys. | Er hat seine Schlüssel vergessen.
g dev | The children are asleep. | Die Kinder schlafen.
h test | I have never been to Rome. | Ich war noch nie in Rom.
h test | The cat sleeps on the sofa. | Die Katze schläft auf dem Sofa.
h test | What time is it? | Wie spät ist es?
k test | Her father is a doctor. | Ihr Vater ist Arzt.
k test | They sold the house last year. | Sie haben das Haus letztes Jahr verkauft.
k test | Don't forget the milk! | Vergiss die Milch nicht!
""".splitlines()


def make_covost(folder: PathLike, *, sound: bool = False) -> tuple[Path, Path]:
    """Write covost_v2.en_de.tsv and Common Voice's cv4/en; both paths. With `sound`, also clips of seven other speakers that
    have no traps: enough to run a recipe.

    Traps: a BOM; quotes that are not closed, tabs, backslashes, NA, two forms of Unicode, Arabic, Chinese; a path listed
    twice, or in one table only, a broken row in each, an unknown split, an empty translation; an mp3 that is missing, empty
    or cut; splits of version 1; columns that are empty.
    """
    table, root = Path(folder) / "covost_v2.en_de.tsv", Path(folder) / "cv4" / "en"
    (root / "clips").mkdir(parents=True)
    clips, clients = dict(CLIPS), dict(CLIENTS)
    for number, line in enumerate(SOUND_CLIPS if sound else ()):
        traits, sentence, translation = line.split(" | ")
        clip = f"common_voice_en_{number}"
        clips[clip] = (sentence, translation, traits[2:])
        clients[clip] = (traits[0] * 128, "twenties", "male", "england")
    rows = [(f"{clip}.mp3", translation, split) for clip, (_, translation, split) in clips.items()]
    rows += [
        ("untold.mp3", "", "train"),
        ("missing.mp3", "Fehlt", "train"),
        ("stranger.mp3", "Fremd", "train"),
        ("plain.mp3", "Noch einmal", "train"),
        ("typo.mp3", "Tippfehler", "tarin"),
        ("zero.mp3", "Leer", "train"),
    ]
    lines = ["path\ttranslation\tsplit", *("\t".join(map(escape, row)) for row in rows)]
    table.write_text("\ufeff" + "\n".join([*lines, "shifted.mp3\tein\tTab\ttrain"]) + "\n", encoding="utf-8")

    lines = ["client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent"]
    sentences = {clip: sentence for clip, (sentence, _, _) in clips.items()}
    others = ("untold", "missing", "shifted", "typo", "zero", "unlisted")
    for clip, sentence in {**sentences, **dict.fromkeys(others, "Something")}.items():
        client, *attributes = clients.get(clip, ("a" * 128, "", "", ""))
        lines.append("\t".join([client, f"{clip}.mp3", sentence, "2", "0", *attributes]))
    lines.append("a\tbroken.mp3\tno columns behind")
    (root / "validated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number, clip in enumerate(clips):
        seconds = 0.5 if clip in CLIPS else 0.5 + 0.1 * (number % 5)
        samples = make_speech(seconds, seed=number, sample_rate=48_000)
        soundfile.write(root / "clips" / f"{clip}.mp3", samples, 48_000)
    cut(root / "clips" / "cut.mp3")
    (root / "clips" / "zero.mp3").write_bytes(b"")
    return table, root


def escape(cell: str) -> str:
    """A cell as the release writes it: a backslash before a quote, a tab and a backslash."""
    return "".join(f"\\{character}" if character in '\\"\t' else character for character in cell)

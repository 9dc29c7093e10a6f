"""The archives of the recipes' corpora: URL, size, hash and licence of each.

    >>> ARCHIVES["dev-clean-2"].url
    'https://www.openslr.org/resources/31/dev-clean-2.tar.gz'
    >>> ARCHIVES["covost_v2.en_de"].num_bytes
    25779505

Sizes and hashes are copied from the sources named below; no archive was downloaded to compare. A value that was
not published is None; without a size, the size that the server states is checked.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auralign.corpora.download import download, unpack
from auralign.files import read_json

LIBRISPEECH_LICENCE = (
    "LibriSpeech is CC BY 4.0 (https://www.openslr.org/12): name Panayotov et al., ICASSP 2015"
)
MINI_LICENCE = (
    "mini_librispeech is CC BY 4.0 (https://www.openslr.org/31): name Panayotov et al., ICASSP 2015"
)
# Its README says that data are CC0 and all else CC BY-NC 4.0; its LICENSE file does not distinguish them.
COVOST_LICENCE = (
    "CoVoST 2: the LICENSE file of its repository is CC BY-NC 4.0, its README says that the data are CC0 "
    "(https://github.com/facebookresearch/covost): decide which you rely on, and name Wang et al., arXiv:2007.10310"
)
SLUE_LICENCE = (
    "SLUE is CC0 (VoxPopuli) and CC BY 4.0 (VoxCeleb) (https://github.com/asappresearch/slue-toolkit): name Shon et al., "
    "arXiv:2111.10367"
)


@dataclass(frozen=True)
class Archive:
    """A file to download and unpack; hashes are hexadecimal, None if none was published."""

    url: str
    licence: str
    num_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


# SHA-256 as in torchaudio 2.11, datasets/librispeech.py; these and the sizes as in github.com/huggingface/datasets at
# 040102f, datasets/librispeech_asr/dataset_infos.json. Each unpacks into LibriSpeech/<name>, beside SPEAKERS.TXT.
LIBRISPEECH = """
train-clean-100 6_387_309_499 d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2
train-clean-360 23_049_477_885 146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf
train-other-500 30_593_501_606 ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2
dev-clean 337_926_286 76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3
dev-other 314_305_928 12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365
test-clean 346_663_984 39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23
test-other 328_757_843 d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29
"""

# MD5 as several projects quote OpenSLR's md5sum.txt; sizes as in Kaldi, egs/mini_librispeech/s5/local/download_and_untar.sh.
MINI_LIBRISPEECH = """
train-clean-5 332_954_390 5df7d4e78065366204ca6845bb08f490
dev-clean-2 126_046_265 6d7ab67ac6a1d2c993d050e16d61080d
"""

# All pairs of version 2, as in github.com/huggingface/datasets at 040102f, datasets/covost2/dataset_infos.json. Their audio
# is that of Common Voice 4, which is distributed elsewhere.
COVOST = """
en_de 25_779_505 f414705b6197cc9a30cf05f8fc4471c8e99809a2c1f2c1da24a7ba617f42fce2
en_tr 23_659_131 9cfb1533cd2226c6ed13fe9462b2ecc5ebc9bb50fc0eb7d0dfe8a68ee4873d42
en_fa 26_148_420 d255d629f604aa32ea06dbb612acf7602221bb0e05ad0d652ad0cf9ba6894532
en_sv-SE 23_671_482 0c591c50b3b13db4df9365802c2cf8a69c3db00a39da6306fc44e76a1b25b4b6
en_mn 27_527_436 7ef1b63adb5cb6bbc7a1f3cfa7c2ceab9a83d99aa4727ba894d101b7b320beb7
en_zh-CN 24_280_932 7509b7c587326ef094c1e639111aef13f3888d26f707672dadec4d37d8e501d8
en_cy 24_224_499 72173329cec05fc70efbf9efa2144a3cc4fbbf3c2e59c01d176a8960f40d0da7
en_ca 24_167_201 efbcd8fcc730ce3900adb274d0842ad65980a559de0a840d4a8bcbe94eabf774
en_sl 23_421_999 4af4f68bbc89527f0cce69c99721a27ae13ec98faaba38436b742ad3a9999393
en_et 23_223_843 4966b7215adf6d29ad5d9c91030025b245c79c460594c0a0c8fbc2a95916e0ab
en_id 22_904_065 f2948f3473fafe6b437e8b55949b059d21da5b9893bd011f6d650a6bcba98f79
en_ar 25_301_304 cd780ad364b8b246b16cf76e4d8e14e21ca29e70b247a10856a923736e973122
en_ta 30_037_790 e95519f0157a779315bf8f75496f71a3fae7be5fec0375ca8fb217d6f1aac6fa
en_lv 24_573_927 b3bbbdf9ab66df79a00724145d43669305460c345bce950f0f2e252900b8bd53
en_ja 26_664_247 2308c0b1737cc3ed7662d7e1a748b29da71ea9023681a617bd51a81c11889671
fr_en 7_282_129 596d42accc976c607e7b4bd53903a0a03d5036af3b3ea276d7ff188981bb5b2f
de_en 9_926_797 a64efc469ba7bd392de32538acf49ff05ac7fe83dd705b9a2a07573e63a2fedd
es_en 3_202_080 aafb7255c00444cbff44ca92a947e16c8f7297f326b332f78b427f4f80240b97
ca_en 5_021_926 acbdbc2b365ac2d192f802b2df2b4796070044e6782193bd0eca5d08e514def1
it_en 1_691_247 da63a3ddf926a595971412e8fdf702405945ea6f9c6ac9de652a94fd6713183d
ru_en 1_443_078 4d23d3d771234ef1e4afd0fb62231d3e9490cebb4c445997715607feef806fec
zh-CN_en 587_550 7a49bba59f8a05b68385e686a878332fb66080c12d4d85dc02b10f3f935447a4
pt_en 476_419 944cf077d47a0ee360fcde34ff42a77f4e898a6446c26ca9402ff543ef91e63b
fa_en 3_864_623 1882aea149ce2ae9c553c41c2b7b6c837c4fc648a1a381705107e91679198e17
et_en 246_569 e0beadd6013b74efc2642c2289a67a0a3243bdbc5dc470798440b7538207eba0
mn_en 189_710 9bf7633e24a9742211aeeebaee931d22e04a7e91a87e40d4f4957d408aa3dff4
nl_en 543_795 1cd5baf7282e6556d7463d26ae28cc717a64b9b7875bd1b38f226e04498b2336
tr_en 280_904 23130548e8ff9433c74b2193e0bc39d04d2aacb811841f592a7b35d358fad697
ar_en 109_802 a8f7f8e393cc78aea1382e021bd6adf4ff75ee4ae96cddd96c80291fcc8c87cf
sv-SE_en 96_161 f4d9931ef0884eb601e1d6ac7b95893ac0b88534c72c1404c64ae0b4bd2d7c81
lv_en 88_836 c13ae5b001698f772c683450d121c9a9dccdfd0c90184f75429d65e9f846dfe3
sl_en 58_445 6f2e6f2bc8018fff0466030cd385837e89e482d162bee9d5bca269dcbc7eab69
ta_en 55_659 03176367953cde717c1b6c19d21f2a0298f07f3459f5ef24866a44988eaea335
ja_en 54_666 2ca0ca6607a58cee36c72c43b916a5ffb9bc920a766806751aea6e1620a4371f
id_en 51_755 4e6b58e66b5a7cbba543895ee1ffbdf5b49018e1274f7fe5b045ecb6be467095
cy_en 875_557 73fd49342e27636ab4bd84b3c2762a2803d4ddaa01b98032ba79228335e9560c
"""

# Version 0.2, by scripts/download_datasets.sh of the toolkit; without the labels of the test sets.
SLUE_FOLDER = "https://public-dataset-model-store.awsdev.asapp.com/users/sshon/public/slue"


def _rows(table: str) -> list[tuple[str, int, str]]:
    return [(name, int(size), digits) for name, size, digits in map(str.split, table.strip().splitlines())]


ARCHIVES: dict[str, Archive] = (
    {
        name: Archive(
            f"https://www.openslr.org/resources/12/{name}.tar.gz", LIBRISPEECH_LICENCE, size, sha256=digits
        )
        for name, size, digits in _rows(LIBRISPEECH)
    }
    | {
        name: Archive(f"https://www.openslr.org/resources/31/{name}.tar.gz", MINI_LICENCE, size, md5=digits)
        for name, size, digits in _rows(MINI_LIBRISPEECH)
    }
    | {
        f"covost_v2.{pair}": Archive(
            f"https://dl.fbaipublicfiles.com/covost/covost_v2.{pair}.tsv.tar.gz",
            COVOST_LICENCE,
            size,
            sha256=digits,
        )
        for pair, size, digits in _rows(COVOST)
    }
    | {
        f"slue-{part}": Archive(f"{SLUE_FOLDER}/slue-{part}_v0.2_blind.zip", SLUE_LICENCE)
        for part in ("voxpopuli", "voxceleb")
    }
)


@dataclass(frozen=True)
class HubData:
    """A data set of the Hugging Face hub, read with `datasets`; `revision` is None if unknown."""

    repository: str
    configurations: tuple[str, ...]
    licence: str
    revision: str | None = None


# With the labels of the test sets, which were published in January 2024; the archives above lack them.
HUB_DATA: dict[str, HubData] = {
    "slue": HubData(
        "asapp/slue",
        ("voxpopuli", "voxceleb"),
        SLUE_LICENCE,
        revision="67f7da031721a14cc391c7fa7c8d96411282d8a3",
    ),
    "slue-phase-2": HubData(
        "asapp/slue-phase-2",
        ("hvb", "sqa5", "ted", "vp_nel"),
        "SLUE-HVB is CC BY 4.0; for the rest of phase 2 see https://huggingface.co/datasets/asapp/slue-phase-2: name Shon "
        "et al., arXiv:2212.10525",
    ),
}


def fetch(names: Iterable[str], folder, *, mirror: str | None = None) -> Path:
    """Download and unpack archives into `folder`; those that are unpacked already are skipped.

    The folder also holds each archive, which may be deleted, and `<archive>.json`, which marks it as unpacked: without that
    file it is unpacked again. The licence of each download is printed once.

    Arguments
    ---------
    names : iterable of str
        Keys of ARCHIVES, such as "train-clean-100", "dev-clean-2" or "covost_v2.en_de".
    folder : str or Path
        LibriSpeech's subsets are unpacked into `folder`/LibriSpeech.
    mirror : str, optional
        URL of a folder on another server with files of the same names, such as https://us.openslr.org/resources/12.

    Returns Path: `folder`.

    Raises ValueError on an unknown name, and as `download` and `unpack` do.
    """
    names, folder = list(names), Path(folder)
    for name in names:
        if name not in ARCHIVES:
            near = difflib.get_close_matches(name, ARCHIVES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no archive {name!r}.{hint} There are: {', '.join(ARCHIVES)}")
    wanted = [ARCHIVES[name] for name in dict.fromkeys(names)]
    wanted = [archive for archive in wanted if not _is_unpacked(archive, _marker(archive, folder))]
    for licence in dict.fromkeys(archive.licence for archive in wanted):
        print(licence, flush=True)
    for archive in wanted:
        url = f"{mirror.rstrip('/')}/{archive.file_name}" if mirror else archive.url
        path = download(
            url,
            folder / archive.file_name,
            num_bytes=archive.num_bytes,
            sha256=archive.sha256,
            md5=archive.md5,
        )
        unpack(path, folder, _marker(archive, folder))
    return folder


def is_half_unpacked(name: str, folder) -> bool:
    """Whether `folder` holds an archive that is not marked as unpacked, so that its files may be incomplete."""
    archive, folder = ARCHIVES[name], Path(folder)
    return (folder / archive.file_name).exists() and not _is_unpacked(archive, _marker(archive, folder))


def _marker(archive: Archive, folder: Path) -> Path:
    return folder / f"{archive.file_name}.json"


def _is_unpacked(archive: Archive, marker: Path) -> bool:
    """Whether the marker describes this archive, by its known values; the archive itself may have been deleted."""
    if not marker.exists():
        return False
    marked = read_json(marker)
    known = {"name": archive.file_name, "num_bytes": archive.num_bytes, "sha256": archive.sha256}
    return all(marked.get(key) == value for key, value in known.items() if value is not None)

"""The example's local scripts import each other by name, as Python does for scripts in one folder."""

import sys
from pathlib import Path

DIGITS = Path(__file__).resolve().parents[3] / "egs" / "digits"
sys.path.insert(0, str(DIGITS / "local"))

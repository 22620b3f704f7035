"""``python app.py`` as a ZeroGPU Space starts it, over the stand-in of its GPU service."""

import runpy
from pathlib import Path

from tests.support.zero_api import import_spaces

import_spaces()
runpy.run_path(str(Path(__file__).parents[2] / "app.py"), run_name="__main__")

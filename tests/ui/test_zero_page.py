"""The whole page on a ZeroGPU Space: who pays for what, from a visitor's call to the service."""

import re
from pathlib import Path

from gradio_client import Client

from tests.support.zero_api import gpu_service
from tests.ui.conftest import ROOT, studio_at

PRESETS = """
models:
  - slug: mini-gpu
    label: Mini on the GPU
    path: base
    pipeline: StableDiffusionPipeline
    base_architecture: mini
    settings:
      {steps: 2, guidance_scale: 3.0, default_width: 128, default_height: 128, dtype: float32,
       scheduler: DDIMScheduler, supports_negative_prompt: true, token_window: 77}
"""


def test_a_run_on_the_gpu_is_its_visitors_and_mini_costs_nobody_anything(tmp_path: Path) -> None:
    presets = tmp_path / "presets"
    presets.mkdir()
    (presets / "gpu.yaml").write_text(PRESETS)
    own = {
        "PUBLIC": "1",
        "GPU_BASES": "mini-gpu",
        "MODEL_BASE_PATH": str(ROOT / "presets" / "mini"),
        "PRESETS": str(presets),
        "OUTPUTS": str(tmp_path / "outputs"),
    }
    program = ROOT / "tests" / "support" / "zero_app.py"
    with (
        gpu_service(tmp_path / "service") as service,
        studio_at(tmp_path, {**own, **service.environ}, program) as url,
    ):
        assert len(service.calls("/startup-report")) == 1
        client = Client(url, verbose=False, headers={"x-ip-token": "a-visitors-token"})
        request = {
            "base": "mini-gpu",
            "mode": "base",
            "prompt": "a rocket on a blue background",
            "settings": {"steps": 2},
            "seed": 7,
        }
        planned = client.predict(request, api_name="/plan")["plan"]
        (asked,) = [each["text"] for each in planned["notices"] if each["code"] == "gpu_time"]
        refused = client.predict({**request, "prompt": " "}, api_name="/generate")
        assert {each["code"] for each in refused["violations"]} == {"prompt_empty"}
        assert service.calls("/schedule") == []

        made = client.predict(request, api_name="/generate")
        assert "error" not in made, made["error"]
        (lent,) = service.calls("/schedule")
        assert lent["token"] == "a-visitors-token"
        assert re.findall(r"\d+", asked) == [lent["durationSeconds"]]

        here = client.predict({**request, "base": "mini"}, api_name="/generate")
        assert len(service.calls("/schedule")) == 1
        pixels = [each["records"][0]["receipt"]["image"]["pixels_sha256"] for each in (made, here)]
        assert pixels[0] == pixels[1]

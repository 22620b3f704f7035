"""The recipe's own parts: runs that stop and carry on, wider models, the preview's map."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("resvg_py")

from diffusers import AutoencoderKL  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from training.mini import decoder, loop, previews, vae  # noqa: E402
from training.mini.generation import SECOND  # noqa: E402
from training.mini.render import NAVY, PAPER  # noqa: E402
from training.mini.shipped import PRESETS, load_vae  # noqa: E402
from training.mini.subjects import BACKGROUNDS  # noqa: E402


def stage(folder: Path, steps: int) -> tuple[nn.Linear, loop.Stage]:
    torch.manual_seed(1)
    layer = nn.Linear(3, 1)
    return layer, loop.Stage("tiny", {"layer": layer}, 0.1, steps, folder / "tiny.pt")


def fit(folder: Path, steps: int, stop_after: int | None = None) -> Tensor:
    """Train the layer; ``stop_after`` steps as a killed process would stop it."""
    layer, whole = stage(folder, steps)

    def step_loss(step: int) -> Tensor:
        if step == stop_after:
            raise KeyboardInterrupt
        source = torch.Generator().manual_seed(step)
        given = torch.randn(8, 3, generator=source)
        loss: Tensor = (layer(given) - given.sum(dim=1, keepdim=True)).square().mean()
        return loss

    whole.save_seconds = 0.0  # after every step
    loop.run(whole, step_loss)
    return layer.weight.detach()


def test_a_run_that_was_stopped_ends_where_one_in_one_go_ends(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = fit(tmp_path / "whole", 30)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, 30, stop_after=12)
    assert torch.equal(fit(tmp_path, 30), whole)
    assert not torch.equal(whole, stage(tmp_path, 30)[0].weight)


def test_the_rate_is_flat_until_the_number_of_steps_matters(tmp_path: Path) -> None:
    short, long = stage(tmp_path, 1000)[1], stage(tmp_path, 2000)[1]
    shares = [loop.learning_rate_share(step, short) for step in range(1000)]
    assert shares[:700] == [loop.learning_rate_share(step, long) for step in range(700)]
    assert shares[0] < shares[99] == 1.0 == shares[699]
    assert shares[999] == pytest.approx(1 / 300)


@pytest.fixture(scope="module")
def small() -> AutoencoderKL:
    torch.manual_seed(3)
    return vae.build().eval()


def test_a_wider_model_answers_the_same(small: AutoencoderKL) -> None:
    wide = decoder.widen(small, SECOND.decoder_widths).eval()
    assert tuple(wide.config.block_out_channels) == (16, 64, 128)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        for model in (small, wide):
            model.latents = model.encode(picture).latent_dist.mean
            model.made = model.decode(small.latents).sample
    assert torch.allclose(wide.latents, small.latents, atol=1e-4)
    assert torch.allclose(wide.made, small.made, atol=1e-4)


def test_the_preview_map_knows_the_colours_of_pictures() -> None:
    shipped = load_vae(PRESETS / "base" / "vae")
    colours = [*BACKGROUNDS.values(), PAPER, NAVY]
    images = []
    for ground, fill in permutations(colours[::2], 2):
        images.append(Image.new("RGB", (64, 64), ground))
        images[-1].paste(fill, (16, 16, 48, 40))
    pictures = vae.to_tensor(images)
    rows = torch.tensor(previews.fit(shipped, pictures[::2])["latent_rgb"])
    with torch.no_grad():
        latents = shipped.encode(pictures[1::2]).latent_dist.mean
    made = torch.einsum("nchw,cr->nrhw", latents, rows[:-1]) + rows[-1][None, :, None, None]
    fold = pictures.shape[-1] // latents.shape[-1]
    wanted = nn.functional.avg_pool2d((pictures[1::2] + 1) / 2, fold)
    ratio = (made - wanted).square().mean() / wanted.var(dim=(0, 2, 3)).mean()
    assert ratio < 0.2

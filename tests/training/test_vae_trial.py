"""The pure parts of the autoencoder trial: decibels, the edge term and what is held out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("resvg_py")

from training.mini.vae import edge_loss  # noqa: E402
from training.mini.vae_trial import build, held_out, psnr  # noqa: E402


def test_psnr_counts_decibels_of_the_whole_range() -> None:
    wanted = torch.zeros(2, 3, 8, 8)
    made = torch.stack([torch.full((3, 8, 8), 0.2), torch.full((3, 8, 8), 0.02)])
    # The range is 2 wide: errors of a tenth and a hundredth of it.
    assert psnr(made, wanted).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)


def test_psnr_clips_what_no_screen_can_show() -> None:
    white = torch.ones(1, 3, 8, 8)
    assert float(psnr(white * 5, white)) == pytest.approx(float(psnr(white, white)))


def test_edge_loss_ignores_a_wrong_shade_and_sees_a_soft_edge() -> None:
    wanted = torch.full((1, 1, 4, 8), -1.0)
    wanted[..., 4:] = 1.0
    soft = wanted.clone()
    soft[..., 4] = 0.0
    assert float(edge_loss(wanted + 0.1, wanted)) == pytest.approx(0.0, abs=1e-6)
    # In every row two of the seven steps are wrong by one; nothing changes down a column.
    assert float(edge_loss(soft, wanted)) == pytest.approx(2 / 7, abs=1e-6)


def test_about_one_icon_in_twenty_is_held_out() -> None:
    assert 30 < sum(held_out(f"icon-{number}") for number in range(1000)) < 75


def test_each_width_after_the_first_halves_the_picture() -> None:
    vae = build(6, (8, 16, 16))
    with torch.no_grad():
        latents = vae.encode(torch.zeros(1, 3, 32, 32)).latent_dist.mean
        assert latents.shape == (1, 6, 8, 8)
        assert vae.decode(latents).sample.shape == (1, 3, 32, 32)

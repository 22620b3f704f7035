"""How Mini's autoencoder is judged: decibels, and the term that sees edges."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("resvg_py")

from training.mini.vae import edge_loss, psnr  # noqa: E402


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

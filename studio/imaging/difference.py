"""Two pictures against each other, pixel by pixel: numbers, and the difference as a picture."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.comparison.numbers import Measures

_WINDOW = 7
"""Pixels a side of SSIM's window, scikit-image's default."""


def measure(left: Image.Image, right: Image.Image) -> Measures | None:
    """None where the sizes differ: there is no pixel against pixel then."""
    if left.size != right.size:
        return None
    one, other = _values(left), _values(right)
    return Measures(
        mean_absolute_difference=mean_absolute(left, right),
        structural_similarity=_ssim(one, other),
    )


def mean_absolute(left: Image.Image, right: Image.Image) -> float:
    """Of the RGB values of two pictures of one size, as a share of their range: 0 to 1."""
    return float(np.abs(_values(left) - _values(right)).mean())


def structure(left: Image.Image, right: Image.Image) -> float | None:
    """SSIM of two pictures of one size; None where a side is shorter than its window."""
    return _ssim(_values(left), _values(right))


def largest(left: Image.Image, right: Image.Image) -> float:
    """The largest difference of a channel's value, 0 to 1; the sizes are the same."""
    return float(np.abs(_values(left) - _values(right)).max())


def _ssim(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    if min(one.shape[:2]) < _WINDOW:
        return None
    # scikit-image takes a second, which only those who measure should wait for.
    from skimage.metrics import structural_similarity

    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        one, other, win_size=_WINDOW, channel_axis=2, data_range=1.0
    )
    return float(similarity)


def difference_png(left: Image.Image, right: Image.Image) -> tuple[bytes, float]:
    """A grey PNG of the largest difference among the channels, brightened so that the largest
    of all is white; and by how much it was brightened (1 for equal pictures).

    Raises:
        ValueError: the sizes differ.
    """
    if left.size != right.size:
        raise ValueError(f"sizes {left.size} and {right.size} differ")
    largest = np.abs(_values(left) - _values(right)).max(axis=2)
    peak = float(largest.max())
    gain = 1 / peak if peak else 1.0
    grey = Image.fromarray(np.round(largest * gain * 255).astype(np.uint8))
    buffer = io.BytesIO()
    grey.save(buffer, "PNG")
    return buffer.getvalue(), gain


def _values(image: Image.Image) -> NDArray[np.float64]:
    """(height, width, 3), 0 to 1."""
    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255

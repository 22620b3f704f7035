"""Pictures with their record inside: saved, listed, verified. The PNG is the truth."""

from studio.gallery.comparison_index import StoredComparison
from studio.gallery.comparisons import Item
from studio.gallery.gallery import (
    Facet,
    Filter,
    Gallery,
    Picture,
)

__all__ = [
    "Facet",
    "Filter",
    "Gallery",
    "Item",
    "Picture",
    "StoredComparison",
]

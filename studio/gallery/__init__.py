"""Pictures with their record inside: saved, listed, verified. The PNG is the truth."""

from studio.gallery.comparisons.index import StoredComparison
from studio.gallery.comparisons.store import Item
from studio.gallery.gallery import Gallery
from studio.gallery.row import Facet, Facets, Filter, Picture, UseCount

__all__ = [
    "Facet",
    "Facets",
    "Filter",
    "Gallery",
    "Item",
    "Picture",
    "StoredComparison",
    "UseCount",
]

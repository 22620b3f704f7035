"""Weights from CivitAI and the Hugging Face Hub: planned, fetched, checked, adopted."""

from studio.library.downloads.downloads import Downloads
from studio.library.downloads.events import (
    Checking,
    DownloadEvent,
    Fetched,
    Fetching,
    Stopped,
    Waiting,
)
from studio.library.downloads.links import CivitaiName, HubName
from studio.library.downloads.plan import DownloadPlan, RemoteFile

__all__ = [
    "Checking",
    "CivitaiName",
    "DownloadEvent",
    "DownloadPlan",
    "Downloads",
    "Fetched",
    "Fetching",
    "HubName",
    "RemoteFile",
    "Stopped",
    "Waiting",
]

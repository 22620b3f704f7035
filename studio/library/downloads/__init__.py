"""Weights from CivitAI and the Hugging Face Hub: planned, fetched, checked, adopted."""

from studio.library.downloads.addresses import CivitaiName, HubName
from studio.library.downloads.downloads import Downloads
from studio.library.downloads.plan import (
    Checking,
    DownloadEvent,
    DownloadPlan,
    Fetched,
    Fetching,
    RemoteFile,
    Stopped,
    Waiting,
)

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

"""The device is got ready once, and a failure is said."""

import threading

from studio.ui.warm_up import WarmUp


class Device:
    """The part of a workspace that the warm-up uses; ``go`` lets the thread end."""

    def __init__(self, label: str | None) -> None:
        self.device_label: str | None = None
        self.go = threading.Event()
        self.threads: list[threading.Thread] = []
        self._label = label

    def warm_up(self) -> threading.Thread:
        thread = threading.Thread(target=self._warm)
        self.threads.append(thread)
        thread.start()
        return thread

    def _warm(self) -> None:
        self.go.wait()
        self.device_label = self._label


def warmed(label: str | None) -> tuple[WarmUp, Device]:
    """A warm-up that two pages asked for, and that has ended."""
    device = Device(label)
    warming = WarmUp(device)  # type: ignore[arg-type]
    for _ in range(2):
        warming.start()
    assert warming.device() == "getting the device ready"
    device.go.set()
    device.threads[0].join()
    warming.start()
    return warming, device


def test_it_happens_once_and_the_device_is_named() -> None:
    warming, device = warmed("CPU, 2 threads")
    assert warming.device() == "CPU, 2 threads"
    assert len(device.threads) == 1


def test_a_failed_one_is_said_and_not_repeated() -> None:
    warming, device = warmed(None)
    assert warming.device() == "device not ready, see the log"
    assert len(device.threads) == 1

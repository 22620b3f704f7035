"""What the server holds for a page, and lets go."""

from studio.ui.sessions import Sessions


class Recorder:
    """The part of a workspace that sessions use."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.closed: list[str] = []

    def open_session(self) -> str:
        self.open.append(f"s{len(self.open)}")
        return self.open[-1]

    def close_session(self, session: str) -> None:
        self.closed.append(session)


def sessions() -> tuple[Sessions, Recorder]:
    recorder = Recorder()
    return Sessions(recorder), recorder  # type: ignore[arg-type]


def test_each_page_has_its_own_session() -> None:
    held, _ = sessions()
    assert held.open("a") == held.open("a")
    assert held.open("a") != held.open("b")


def test_one_run_at_a_time_and_only_its_own_page_cancels_it() -> None:
    held, _ = sessions()
    first = held.start("a")
    other = held.start("b")
    assert first is not None
    assert other is not None
    assert held.start("a") is None
    assert held.cancel("a")
    assert first[1].is_set()
    assert not other[1].is_set()
    held.finish("a", first[1])
    assert not held.is_running("a")
    assert not held.cancel("a")
    assert held.start("a") is not None


def test_a_closed_page_stops_its_run_and_releases_its_session() -> None:
    held, recorder = sessions()
    started = held.start("a")
    assert started is not None
    held.close("a")
    held.close("a")
    assert started[1].is_set()
    assert recorder.closed == ["s0"]
    held.finish("a", started[1])
    assert held.open("a") == "s1"


def test_a_run_that_outlives_its_page_does_not_end_the_next_one() -> None:
    held, _ = sessions()
    old = held.start("a", comparing=True)
    held.close("a")
    new = held.start("a")
    assert old is not None
    assert new is not None
    assert not held.is_comparing("a")
    held.finish("a", old[1])
    assert held.is_running("a")
    assert held.cancel("a")
    assert new[1].is_set()


def test_only_a_run_of_cells_is_a_comparison() -> None:
    held, _ = sessions()
    assert not held.is_comparing("a")
    started = held.start("a", comparing=True)
    assert started is not None
    assert held.is_comparing("a")
    held.finish("a", started[1])
    assert not held.is_comparing("a")

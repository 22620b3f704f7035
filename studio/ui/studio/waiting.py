"""The runs of this browser that wait behind the one that goes on."""

from studio.contract.plan import RunPlan
from studio.errors import NoSuchRun
from studio.ui.html import picture as stage
from studio.ui.html.tags import Html
from studio.ui.sessions import Sessions
from studio.ui.studio.live import Updates
from studio.ui.studio.result import Result


class WaitingEvents:
    """The list, and its buttons."""

    def __init__(self, sessions: Sessions, result: Result) -> None:
        self._sessions = sessions
        self._result = result

    def list(self, page: str) -> Updates:
        return {self._result.waiting: self._shown(page)}

    def act(self, key: str, page: str) -> Updates:
        """A button of the list: ``first`` puts a run before the others, ``remove`` ends it."""
        what, _, run_id = key.partition(" ")
        try:
            if what == "first":
                self._sessions.move(page, run_id, 0)
            elif what == "remove":
                self._sessions.remove(page, run_id)
        except NoSuchRun:
            pass  # its turn came meanwhile, which the list shows
        return self.list(page)

    def _shown(self, page: str) -> Html:
        going = self._sessions.going(page, RunPlan)
        return stage.waiting_runs([(plan, each.run_id) for plan, each in going if each.ahead])

"""Health and readiness over HTTP, beside the metrics: what Kubernetes, compose and people ask.

/health/live    200 while the event loop turns and the worker gets on; 503 says since when it does not
/health/ready   200 once it has its partitions and has caught up; 503 says what is missing
"""

from collections.abc import Mapping

from nearline.watching.readiness import Readiness
from nearline.watching.watchdog import Progress
from shared.metrics import Page


def pages(progress: Progress, readiness: Readiness, stall_limit_s: float) -> Mapping[str, Page]:
    """The pages for `shared.metrics.serve`.

    Parameters
    ----------
    stall_limit_s : see `nearline.watching.watchdog.Watchdog`; a worker that is past it is about to end itself.
    """

    def live() -> tuple[bool, dict[str, object]]:
        stall = progress.stall(stall_limit_s)
        return stall is None, {"live": stall is None} | ({} if stall is None else {"reason": stall})

    return {"/health/live": live, "/health/ready": readiness.report}

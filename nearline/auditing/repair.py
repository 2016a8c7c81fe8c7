"""Puts right what `verify` finds: installs the fold of the log for members whose state is damaged, lost or moved back.

Safe while workers run. A state is written only over the one that was judged, and its fence moves, so a worker that holds the
member in memory is refused at its next write and takes the repaired state over. The fold reaches to the end of the log as it
was after the state had been read; so it is never behind what a worker has seen.
"""

from collections.abc import Sequence

import click
import redis

from nearline.auditing import verify
from nearline.auditing.audit import TO_REPAIR, Auditor, Finding
from shared import config as configuration
from shared import fence as fences
from shared import keys, marks, store
from shared.errors import ConflictError
from shared.store import StateStore, StateWrite

ATTEMPTS = 10
"""How often a member is judged anew because a worker moved the state in between."""

_CLEAR = "if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return redis.call('DEL', KEYS[1]) end return 0"
"""Makes room where the member's key holds something that is no hash."""


class Repairer:
    """Repairs members as an audit finds them.

    Attributes
    ----------
    repaired : how many states were replaced.
    """

    def __init__(self, auditor: Auditor, client: redis.Redis, namespace: str) -> None:
        self._auditor, self._client, self._namespace = auditor, client, namespace
        self._store = StateStore(client, namespace)
        self.repaired = 0

    def take(self, found: Sequence[Finding]) -> None:
        """Repair those that need it.

        Raises
        ------
        ConflictError : a member's state kept moving through every attempt.
        """
        due = [finding for finding in found if finding.verdict in TO_REPAIR]
        for _ in range(ATTEMPTS):
            moved = self._install(due)
            self.repaired += len(due) - len(moved)
            if not moved:
                return
            due = [finding for finding in self._auditor.judge(moved) if finding.verdict in TO_REPAIR]
        raise ConflictError(f"the state of member {due[0].member_id!r} kept changing while it was repaired")

    def _install(self, due: Sequence[Finding]) -> list[str]:
        """Write the wanted states; the members whose state is no longer the one that was judged."""
        if not due:
            return []
        for finding in due:
            if finding.there is None:
                self._client.eval(_CLEAR, 1, keys.state(self._namespace, finding.member_id))
        writes = [
            StateWrite(
                finding.member_id,
                finding.there.fence if finding.there is not None else b"",
                fences.encode(marks.repaired(finding.wanted.fence)),
                finding.wanted.encoded(),
            )
            for finding in due
        ]
        return [write.member_id for write, there in zip(writes, self._store.write(writes), strict=True) if there is not None]


def run(config_path: str | None, json_path: str | None, members_per_pass: int, wait_s: float) -> int:
    """The command `repair`; its exit code."""
    config = configuration.load(config_path)
    with verify.opened(config, members_per_pass, wait_s) as auditor, store.connect(config.redis) as client:
        repairer = Repairer(auditor, client, config.redis.namespace)
        before = auditor.run(repairer.take)
    verify.tell(before)
    click.echo(f"{repairer.repaired} states replaced; comparing again")
    with verify.opened(config, members_per_pass, wait_s) as auditor:
        after = auditor.run()
    verify.tell(after)
    verify.write_json(after, json_path)
    return 0 if after.is_sound else verify.FAILED_EXIT_CODE

"""The queue of an app, for its pages."""

from dashboard import context
from dashboard.work.queue import Work
from dissect.errors import ConfigError

_ACTIONS = ("cancel", "resume", "remove")


def work() -> Work:
    """The queue of the app that handles the current request."""
    own = context.current()
    return own.service("work", lambda: Work(own.store.folder))


def perform(action: object, job_id: object) -> tuple[str, str]:
    """Perform the action of a job's button; returns the job's id and a message. Untrusted.

    Raises:
        ConfigError: no such action or job, or one that does not fit its state.
        RunError: the records cannot be written.
    """
    if action not in _ACTIONS:
        raise ConfigError(f"{str(action)[:40]!r} is not an action; reload the page")
    job = work().find(job_id)
    getattr(work(), str(action))(job.id)
    if action == "cancel":
        return job.id, f"{job.name} was taken out" if job.turn else f"{job.name} is stopping"
    return job.id, f"{job.name} was removed" if action == "remove" else ""

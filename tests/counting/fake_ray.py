"""The calls of Ray that a crew makes, in this process: actors run at once, and die when told to."""

import json
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace


class RayError(Exception):
    pass


class Handle:
    """An actor. Orders and answers pass through JSON, as they have to."""

    def __init__(self, actor, dies):
        self._actor, self._dies, self.dead = actor, dies, False
        self.do, self.end = SimpleNamespace(remote=self._do), SimpleNamespace(remote=actor.end)

    def die(self):
        """Its folder is gone as well, with its machine."""
        self.dead = True
        self._actor.end()

    def _do(self, order, files):
        if not self.dead and self._dies(order):
            self.die()
        if self.dead:
            return Result(None)
        answer, made = self._actor.do(json.loads(json.dumps(order)), files)
        return Result((json.loads(json.dumps(answer)), made))


class Result:
    def __init__(self, value):
        self.value = value


def fake_ray(*, machines, dies=lambda order: False):
    """A module to put into ``sys.modules``.

    Args:
        machines: Resources of each machine.
        dies: Whether an actor dies at an order.
    """
    ray = ModuleType("ray")
    ray.__spec__ = ModuleSpec("ray", None)
    ray.started = []

    def start(kind, module):
        ray.started.append(Handle(kind(module), dies))
        return ray.started[-1]

    def get(result):
        if result.value is None:
            raise RayError("the machine is gone")
        return result.value

    ray.exceptions = SimpleNamespace(RayError=RayError)
    ray.is_initialized = lambda: True
    ray.nodes = lambda: [{"Alive": True, "Resources": one} for one in machines]
    ray.remote = lambda kind: SimpleNamespace(
        options=lambda **reserved: SimpleNamespace(remote=lambda module: start(kind, module))
    )
    ray.wait = lambda results, *, num_returns, timeout: (
        results[:num_returns],
        results[num_returns:],
    )
    ray.get = get
    ray.kill = Handle.die
    return ray

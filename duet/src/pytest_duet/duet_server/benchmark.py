"""The stand-in for pytest-benchmark's fixture, which takes turns instead of measuring."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from .channel import Channel

Turn = Callable[[int], tuple[float, Any]]  # takes units; returns their seconds, and the last result


def repeated(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Turn:
    """Return a turn that calls a function once per unit."""

    def turn(units: int) -> tuple[float, Any]:
        started = time.perf_counter()
        for _ in range(units):
            result = function(*args, **kwargs)
        return time.perf_counter() - started, result

    return turn


class Benchmark:
    """The part of pytest-benchmark's fixture that a case uses; statistics are absent."""

    enabled = False
    disabled = True
    stats = None

    def __init__(self, item: pytest.Item, channel: Channel, *, slowed: float) -> None:
        marker = item.get_closest_marker("benchmark")
        parameters = getattr(item, "callspec", None)
        self.name = item.name
        self.fullname = item.nodeid
        self.group: str | None = marker.kwargs.get("group") if marker else None
        self.param = parameters.id if parameters else None
        self.params = dict(parameters.params) if parameters else None
        self.extra_info: dict[str, Any] = {}
        self.calls = 0
        self._channel = channel
        self._slowed = slowed  # share of a turn's time that is added to it

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Time `function(*args, **kwargs)`, and return its last result."""
        return self.serve(repeated(function, *args, **kwargs))

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Time `target`, with an untimed set-up before and an untimed tear-down after each call.

        The gate decides how often. `rounds`, `warmup_rounds` and `iterations` have no effect.
        """
        if not setup and not teardown:
            return self(target, *args, **(kwargs or {}))

        def turn(units: int) -> tuple[float, Any]:
            seconds = 0.0
            for _ in range(units):
                arguments = setup() if setup else None
                if arguments and (args or kwargs):
                    raise TypeError("arguments come from setup or args and kwargs, not from both")
                positional, named = arguments or (args, kwargs or {})
                started = time.perf_counter()
                result = target(*positional, **named)
                seconds += time.perf_counter() - started
                if teardown:
                    teardown(*positional, **named)
            return seconds, result

        return self.serve(turn)

    @property
    def weave(self) -> Any:
        """Refuse: it would time something else than the case's own call."""
        raise NotImplementedError("the gate does not measure benchmark.weave: call benchmark")

    patch = weave

    def serve(self, turn: Turn) -> Any:
        """Take turns until the gate has enough, at least one."""
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("benchmark is called twice in one case: make it two cases")
        self._channel.send(ready=True)
        served = False
        for request in self._channel.requests():
            if request["do"] == "finish":
                break
            started, units = time.monotonic(), request["units"]
            seconds, result = turn(units)
            if self._slowed:
                seconds += _wait(self._slowed * seconds)
            served = True
            passed = time.monotonic() - started  # set-up and tear-down included
            self._channel.send(seconds=seconds / units, passed=passed / units)
        if not served:
            _, result = turn(1)
        return result


def _wait(seconds: float) -> float:
    """Compute in a busy loop for an audit's slowdown; return the seconds that it took."""
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        pass
    return passed

"""The detached supervisor of one unit. Standard library only; started by ``launch``.

It outlives its starter (double fork, own session), adopts every orphan of the
unit (subreaper), enforces the deadline, keeps a bounded log, and writes
``exit.json`` when the last descendant is gone. Signals it understands: SIGTERM
asks the command to stop and starts the grace period, SIGQUIT kills at once.
"""

import contextlib
import os
import select
import signal
import sys
import time

from apps.units import child, layout, processes
from apps.units.boundedlog import BoundedLog
from apps.units.plan import Plan

_CHUNK = 65536
_PIPEFULS = 32  # a pipe holds at most 1 MiB
_HEARD = (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD)
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)


def main(lock: int, shim_lock: int) -> None:
    """Read the plan from stdin, detach, run the unit to its end.

    Args:
        lock: descriptor of the unit's held ``lock``, handed on to the command.
        shim_lock: descriptor of the held ``shim.lock``, kept.
    """
    try:
        plan = Plan.load(_read_all(0))
    except ValueError:
        return  # the starter died while it was writing; nothing has begun
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    os.set_inheritable(lock, False)
    os.set_inheritable(shim_lock, False)
    ready = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    _Shim(plan, lock).run(ready)


class _Shim:
    """One unit's supervision, from the fork of its command to the record of its end."""

    def __init__(self, plan: Plan, lock: int) -> None:
        self._plan = plan
        self._lock = lock
        self._log = BoundedLog(plan.directory, plan.log_limit_bytes)
        self._output, self._output_end = _pipe()
        self._wakeup, self._wakeup_end = _pipe()
        self._sources = [self._output, self._wakeup]
        self._main = 0
        self._status: int | None = None
        self._timed_out = False
        self._kill_at: float | None = None
        self._started_at = time.time()
        self._deadline = time.monotonic() + plan.timeout_seconds

    def run(self, ready: int) -> None:
        """Start the command, say so on ``ready``, supervise it, record its end."""
        self._listen()
        child.become_subreaper()
        self._start()
        os.write(ready, b"ok")
        os.close(ready)
        while self._status is None:
            self._step()
        self._kill_descendants()
        self._drain()
        self._record_exit()

    def _listen(self) -> None:
        os.set_blocking(self._wakeup_end, False)
        signal.set_wakeup_fd(self._wakeup_end)
        for number in _HEARD:
            signal.signal(number, lambda *_: None)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)

    def _start(self) -> None:
        go, go_end = _pipe()
        report, report_end = _pipe()
        self._main = os.fork()
        if not self._main:
            os.close(go_end)
            child.execute(self._plan, go=go, report=report_end, output=self._output_end, lock=self._lock)
        for descriptor in (go, report_end, self._output_end):
            os.close(descriptor)
        os.set_blocking(self._output, False)
        self._record_start()
        # Only now may the command run: whatever happens to us, it can be found.
        with contextlib.suppress(BrokenPipeError):
            os.write(go_end, b"g")
        os.close(go_end)
        complaint = _read_all(report)
        if complaint:
            self._log.write(b"cannot start %s: %s\n" % (self._plan.argv[0].encode(), complaint))
        os.close(report)

    def _record_start(self) -> None:
        started = processes.stat(self._main)
        me = processes.stat(os.getpid())
        layout.write_json(
            self._plan.directory,
            layout.PROCESS,
            {
                "pid": self._main,
                "start_ticks": started.start_ticks if started else 0,
                "shim_pid": os.getpid(),
                "shim_start_ticks": me.start_ticks if me else 0,
                "uid": self._plan.uid,
                "cookie": self._plan.cookie,
                "started_at": self._started_at,
            },
        )

    def _step(self) -> None:
        """Wait for output, a signal or the next deadline, and react once."""
        now = time.monotonic()
        due = self._deadline if self._kill_at is None else self._kill_at
        readable, _, _ = select.select(self._sources, [], [], max(0.0, due - now))
        if self._output in readable:
            self._copy_output()
        if self._wakeup in readable:
            self._obey(os.read(self._wakeup, 512))
        self._enforce(time.monotonic())

    def _obey(self, signals: bytes) -> None:
        if signal.SIGQUIT in signals:
            self._kill_at = time.monotonic()
        elif signal.SIGTERM in signals:
            self._ask_to_stop()
        self._reap()

    def _ask_to_stop(self) -> None:
        processes.send(self._main, signal.SIGTERM)
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._plan.stop_grace_seconds

    def _enforce(self, now: float) -> None:
        if self._status is not None:
            return
        if now >= self._deadline and not self._timed_out:
            self._timed_out = True
            self._ask_to_stop()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_descendants()

    def _kill_descendants(self) -> None:
        """Kill until nothing is left; as a subreaper we are told by having no children any more."""
        while self._reap():
            for pid in processes.descendants(os.getpid()):
                processes.send(pid, signal.SIGKILL)
            if self._reap():
                time.sleep(0.002)

    def _reap(self) -> bool:
        """Collect the dead; return whether any child is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self._main:
                    self._status = status
                if not pid:
                    return True
        except ChildProcessError:
            return False

    def _copy_output(self) -> bool:
        """Move one chunk into the log; return whether there may be more."""
        try:
            content = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if content:
            self._log.write(content)
            return True
        self._sources.remove(self._output)
        return False

    def _drain(self) -> None:
        """Take what the dead have left in the pipe, and not what somebody outside may still be writing."""
        for _ in range(_PIPEFULS):
            if self._output not in self._sources or not self._copy_output():
                return

    def _record_exit(self) -> None:
        status = self._status or 0
        signaled = os.WIFSIGNALED(status)
        layout.write_json(
            self._plan.directory,
            layout.EXIT,
            {
                "exit_code": None if signaled else os.WEXITSTATUS(status),
                "signal": os.WTERMSIG(status) if signaled else None,
                "timed_out": self._timed_out,
                "started_at": self._started_at,
                "finished_at": time.time(),
            },
        )


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, _CHUNK):
        parts.append(part)
    return b"".join(parts)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

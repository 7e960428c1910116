"""The last steps of a unit's own process, between fork and exec. Standard library only."""

import ctypes
import os
import resource
import signal

from apps.units.plan import Plan

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)

#: Exit codes of a command that could not be started, as shells use them.
NOT_EXECUTABLE = 126
NOT_FOUND = 127
#: Exit code of a process whose shim died before it could write down that the process exists.
ABANDONED = 125

#: What the shim handles or ignores and the command must not inherit.
_CHANGED = (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)


def become_subreaper() -> None:
    """Make every orphan among our descendants our own child."""
    _prctl(_PR_SET_CHILD_SUBREAPER)


def execute(plan: Plan, *, go: int, report: int, output: int, lock: int) -> None:
    """Turn this forked process into the unit's command. Never returns.

    Args:
        plan: what to run and how.
        go: pipe on which one byte says that this process has been recorded.
        report: pipe that a successful exec closes and that else takes the reason.
        output: where stdout and stderr go.
        lock: the lock that the command keeps holding.
    """
    code = NOT_EXECUTABLE
    try:
        signal.set_wakeup_fd(-1)
        for number in _CHANGED:
            signal.signal(number, signal.SIG_DFL)
        if os.read(go, 1):
            _enter(plan, report=report, output=output, lock=lock)
            os.execvpe(plan.argv[0], plan.argv, plan.environment)
        code = ABANDONED
    except (OSError, ValueError) as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        os.write(report, f"{code} {error}".encode())
    finally:
        os._exit(code)


def _enter(plan: Plan, *, report: int, output: int, lock: int) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.set_inheritable(lock, True)
    _close_all_but({0, 1, 2, report, lock})
    os.umask(0o077)
    for number, value in plan.limits.items():
        _lower(number, value)
    if plan.uid is not None:
        os.setgroups([])
        os.setresgid(plan.uid, plan.uid, plan.uid)
        os.setresuid(plan.uid, plan.uid, plan.uid)
    _prctl(_PR_SET_NO_NEW_PRIVS)
    os.chdir(plan.work)


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the descriptor of the listing itself


def _lower(number: int, value: int) -> None:
    """Limit a resource for good, never beyond what we have ourselves."""
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(number, (value, value))


def _prctl(option: int) -> None:
    if _libc.prctl(option, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")

"""Follows a process from system call to system call (ptrace(2)), and kills it at one of them.

All its threads have one count: strace's ``inject=…:when=N`` counts each thread by itself, and would kill the
first one long before the one that refreshes comes to its Nth call. Registers alone are read, so that an
unprivileged user can follow a process that has made itself undumpable. Linux on x86-64 and arm64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from dataclasses import dataclass, field
from typing import Final

_SYSCALL, _SEIZE, _INTERRUPT, _INFO = 24, 0x4206, 0x4207, 0x420E
_WALL: Final = 0x40000000
_OPTIONS: Final = 0x1 | 0x2 | 0x4 | 0x8 | 0x100000  # syscall stops marked, children followed, killed with us
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_ENTRY: Final = 1
_NO_SUCH_PROCESS: Final = 3

_NAMES: Final[dict[str, dict[int, str]]] = {
    "x86_64": {
        0: "read", 1: "write", 3: "close", 4: "stat", 5: "fstat", 6: "lstat", 7: "poll", 8: "lseek",
        9: "mmap", 10: "mprotect", 11: "munmap", 12: "brk", 13: "rt_sigaction", 14: "rt_sigprocmask",
        16: "ioctl", 20: "writev", 25: "mremap", 28: "madvise", 39: "getpid", 41: "socket", 42: "connect",
        44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 48: "shutdown", 51: "getsockname",
        52: "getpeername", 53: "socketpair", 54: "setsockopt", 55: "getsockopt", 56: "clone", 60: "exit",
        72: "fcntl", 73: "flock", 74: "fsync", 82: "rename", 83: "mkdir", 86: "link", 87: "unlink",
        89: "readlink", 90: "chmod", 91: "fchmod", 107: "geteuid", 186: "gettid", 202: "futex",
        217: "getdents64", 230: "clock_nanosleep", 231: "exit_group", 232: "epoll_wait", 233: "epoll_ctl",
        257: "openat", 262: "newfstatat", 273: "set_robust_list", 281: "epoll_pwait", 288: "accept4",
        290: "eventfd2", 291: "epoll_create1", 316: "renameat2", 318: "getrandom", 332: "statx",
        334: "rseq", 435: "clone3",
    },
    "aarch64": {
        25: "fcntl", 32: "flock", 34: "mkdirat", 35: "unlinkat", 37: "linkat", 38: "renameat", 56: "openat",
        57: "close", 61: "getdents64", 62: "lseek", 63: "read", 64: "write", 66: "writev", 79: "newfstatat",
        80: "fstat", 82: "fsync", 93: "exit", 94: "exit_group", 98: "futex", 198: "socket", 203: "connect",
        206: "sendto", 207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 215: "munmap", 220: "clone",
        222: "mmap", 226: "mprotect", 276: "renameat2", 278: "getrandom", 291: "statx", 435: "clone3",
    },
}  # fmt: skip
_RENAMES: Final = frozenset({"rename", "renameat", "renameat2"})


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
        ("filter", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


@dataclass(slots=True)
class Trace:
    """What was seen of a process.

    Attributes:
        calls: the system calls since it began its first whole file, the note's, in order, all threads.
        window: how many of them there are up to the last rename.
        renames: how many of them renamed a file.
        status: as ``waitpid`` tells it.
    """

    calls: list[str] = field(default_factory=list)
    window: int = 0
    renames: int = 0
    status: int = 0


def follow(
    pid: int,
    released: int,
    *,
    deadly: int | None,
    deadly_rename: int | None = None,
    enough: int | None = None,
    skip: int = 0,
) -> Trace:
    """Follow a child that waits for a byte on a pipe, until it ends.

    Args:
        pid: of the child.
        released: the writing end of that pipe.
        deadly: the child is killed before it makes this call of ``Trace.calls``.
        deadly_rename: the child is killed before it renames a file for this time, from 0.
        enough: the child is killed at the latest when it has renamed files so many times; for those that do
            not end by themselves.
        skip: the first so many renames are of files that are written before the note.
    """
    _ptrace(_SEIZE, pid, _OPTIONS)
    _ptrace(_INTERRUPT, pid, 0)
    os.waitpid(pid, _WALL)
    _ptrace(_SYSCALL, pid, 0)
    os.write(released, b"\n")
    trace, begun = Trace(), False
    while True:
        thread, status = os.waitpid(-1, _WALL)
        if not os.WIFSTOPPED(status):
            if thread == pid:
                trace.status = status
                return trace
            continue
        delivered = 0
        if os.WSTOPSIG(status) == _SYSCALL_STOP:
            info = _Info()
            size = ctypes.c_void_p(ctypes.sizeof(info))
            if _libc.ptrace(_INFO, thread, size, ctypes.byref(info)) > 0 and info.op == _ENTRY:
                name = _name(info.number)
                begun = begun or (skip <= 0 and name == "openat" and _fresh(info.arguments[2]))
                skip -= name in _RENAMES
                if begun:
                    reached = name in _RENAMES and trace.renames == deadly_rename
                    done = enough is not None and trace.renames >= enough
                    if len(trace.calls) == deadly or reached or done:
                        os.kill(pid, signal.SIGKILL)
                    trace.calls.append(name)
                    if name in _RENAMES:
                        trace.renames += 1
                        trace.window = len(trace.calls) + 1
        elif status >> 16 == 0:
            delivered = os.WSTOPSIG(status)
        _ptrace(_SYSCALL, thread, delivered)


def _name(number: int) -> str:
    return _NAMES[platform.machine()].get(number, f"call {number}")


def _fresh(flags: int) -> bool:
    """Return whether a file is opened as one that is written whole is; a lock's is opened to be read, too."""
    wanted = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return flags & (os.O_ACCMODE | os.O_CREAT | os.O_EXCL) == wanted


def _ptrace(request: int, thread: int, data: int) -> None:
    if _libc.ptrace(request, thread, None, ctypes.c_void_p(data)) < 0:
        error = ctypes.get_errno()
        if error != _NO_SUCH_PROCESS:  # a thread that was killed meanwhile
            raise OSError(error, os.strerror(error))

"""Run one command the way a container runtime does: own mounts, own processes, own root. Linux only, standard library.

A program of its own (`python -I -S launcher.py SPEC_FD REPORT_FD`), started by processes.py; it must not import
anything of the project. SPEC_FD holds a JSON object:

`argv`, `env`, `cwd`, `uid`, `gid`, `groups`    what is run, and as whom (null: the caller; only root can change)
`layer`        an empty directory: a private, writable view of the host's root is mounted in it
`binds`        [[source, target, read_only], ..] to be mounted in that view
`hostname`     name of the view
`share_pid`    a process whose process namespace is joined (0: an own one)
`join`         a process whose namespaces and root are all joined (0: none); `layer` and `binds` then do not count
`cgroups`      files to write the own process id to
`no_new_privileges`, `keep_capabilities`
`tty`          allocate a terminal; lines "WIDTH HEIGHT" on RESIZE_FD set its size
`resize_fd`    see `tty`

REPORT_FD gets one JSON line `{"pid": N}` (as the caller sees it), then `{"error": "..", "kind": "exec"|"setup"}` if
the command could not be run; end of file without an error: it runs. The exit status is the command's, 128 + N when
signal N ended it.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x4000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
MNT_DETACH = 2
# mount_setattr(2) has the same number on every architecture.
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
# What belongs to the whole machine, not to a process namespace.
PROTECTED = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
LAST_CAPABILITY = 63
STATUS_NOT_FOUND = 127
# Mounted by themselves, or of no use in a container.
SEPARATE = ("proc", "sys", "dev", "lost+found")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

libc = ctypes.CDLL(None, use_errno=True)


class SetupError(OSError):
    """A namespace or mount could not be made."""


def check(result: int, what: str) -> None:
    """Raise SetupError when a C function failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise SetupError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    raw = [text.encode() if text is not None else None for text in (source, target, kind)]
    check(libc.mount(raw[0], raw[1], raw[2], flags, data.encode() if data else None), f"mount {target}")


def unshare(flags: int) -> None:
    """unshare(2)."""
    check(libc.unshare(flags), "unshare")


def join_namespace(pid: int, name: str) -> None:
    """setns(2) to a namespace of a process."""
    descriptor = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(libc.setns(descriptor, 0), f"setns {name}")
    finally:
        os.close(descriptor)


def become_root_of_user_namespace() -> None:
    """For a caller without rights: a user namespace in which it is root."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def make_target(path: str, directory: bool) -> None:
    """An empty directory or file to mount on."""
    if directory:
        os.makedirs(path, exist_ok=True)
    elif not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))


def make_read_only(path: str) -> None:
    """A mount and all mounts below it (Linux 5.12)."""
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, len(attributes))
    check(result, f"read-only {path}")


def overlay(lower: str, target: str, layer: str, name: str) -> None:
    """Mount a writable view of `lower` on `target`; what is written goes to `layer`."""
    upper, work = f"{layer}/upper-{name}", f"{layer}/work-{name}"
    for path in (upper, work):
        os.mkdir(path, 0o755)
    # User attributes serve where trusted ones are not allowed.
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    try:
        mount("overlay", target, "overlay", MS_NODEV, options)
    except SetupError:
        mount("overlay", target, "overlay", MS_NODEV, options + ",userxattr")


def overlay_by_directory(root: str, layer: str) -> None:
    """A view of the host's root made of views of its directories; what cannot be one is the host's own."""
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for name in sorted(os.listdir("/")):
        path, target = f"/{name}", f"{root}/{name}"
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
            continue
        make_target(target, os.path.isdir(path))
        if name in SEPARATE or not os.path.isdir(path):
            continue
        try:
            overlay(path, target, layer, name)
        except SetupError:
            mount(path, target, None, MS_BIND | MS_REC)
            try:
                make_read_only(target)
            except SetupError:
                check(libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def build_root(layer: str, binds: list[list[Any]]) -> str:
    """Mount the view and everything in it; gives the path of its root. Needs an own mount namespace."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", layer, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    root = f"{layer}/root"
    os.mkdir(root, 0o755)
    try:
        overlay("/", root, layer, "all")
    except SetupError:
        # A user namespace may not copy a tree that has other file systems mounted in it: take it in pieces.
        overlay_by_directory(root, layer)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for path in PROTECTED:
        if os.path.exists(root + path):
            mount(root + path, root + path, None, MS_BIND)
            make_read_only(root + path)
    mount("/sys", f"{root}/sys", None, MS_BIND | MS_REC)
    make_read_only(f"{root}/sys")
    mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            make_target(f"{root}/dev/{name}", directory=False)
            mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    os.mkdir(f"{root}/dev/pts")
    mount("devpts", f"{root}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/shm", 0o1777)  # noqa: S108
    for source, target, read_only in binds:
        # The target is looked up inside the view only: `..` was refused by the API, links are not followed out of it.
        path = root + os.path.realpath("/" + target.lstrip("/"))
        make_target(path, os.path.isdir(source))
        mount(source, path, None, MS_BIND)
        if read_only:
            mount("none", path, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    return root


def drop_privileges(spec: dict[str, Any]) -> None:
    """Capabilities, then groups, then user."""
    if os.geteuid() == 0:
        keep = set(spec["keep_capabilities"])
        for capability in range(LAST_CAPABILITY + 1):
            if capability not in keep:
                libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        if spec["gid"] is not None:
            os.setgroups(spec["groups"])
            os.setgid(spec["gid"])
        if spec["uid"] is not None:
            os.setuid(spec["uid"])
    if spec["no_new_privileges"]:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def find_program(word: str, path: str) -> str:
    """The file to run. Raises FileNotFoundError or PermissionError with the text runc gives."""
    if "/" in word:
        try:
            os.stat(word)
        except FileNotFoundError:
            raise FileNotFoundError(f'exec: "{word}": stat {word}: no such file or directory') from None
        if os.path.isdir(word) or not os.access(word, os.X_OK):
            raise PermissionError(f'exec: "{word}": permission denied')
        return word
    for directory in path.split(":"):
        file = os.path.join(directory or ".", word)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    raise FileNotFoundError(f'exec: "{word}": executable file not found in $PATH')


def report(descriptor: int, message: dict[str, Any]) -> None:
    """One line to the caller."""
    os.write(descriptor, json.dumps(message).encode() + b"\n")


def run(spec: dict[str, Any], report_fd: int, terminal: int | None) -> NoReturn:
    """In the new process: become the command."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # A group of its own: a signal to "the own group" passes the bounds of a process namespace.
    os.setsid()
    try:
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
            for standard in (0, 1, 2):
                os.dup2(terminal, standard)
        if not spec["join"]:
            root = build_root(spec["layer"], spec["binds"])
            os.chroot(root)
            if spec["hostname"]:
                socket.sethostname(spec["hostname"])
        os.chdir("/")
        if spec["cwd"]:
            os.makedirs(spec["cwd"], exist_ok=True)
            os.chdir(spec["cwd"])
        os.umask(0o022)
        drop_privileges(spec)
        # After the change of user, which would clear it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except OSError as error:
        report(report_fd, {"error": str(error), "kind": "setup"})
        os._exit(STATUS_NOT_FOUND)
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        program = find_program(spec["argv"][0], spec["env"].get("PATH", os.defpath))
        os.execve(program, spec["argv"], spec["env"])  # noqa: S606
    except OSError as error:
        text = str(error) if error.errno is None else f'exec: "{spec["argv"][0]}": {os.strerror(error.errno)}'
        report(report_fd, {"error": text, "kind": "exec"})
        os._exit(STATUS_NOT_FOUND)


def relay(master: int, child: int, resize_fd: int) -> None:
    """Copy between the terminal and the own standard streams until the terminal is closed."""
    sources = {master, 0}
    if resize_fd >= 0:
        sources.add(resize_fd)
    while True:
        ready, _, _ = select.select(sources, [], [])
        for descriptor in ready:
            try:
                data = os.read(descriptor, 65536)
            except OSError:
                data = b""
            if descriptor == master:
                if not data:
                    return
                while data:
                    data = data[os.write(1, data) :]
            elif descriptor == resize_fd and data:
                width, height = (int(word) for word in data.splitlines()[-1].split())
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
                os.kill(child, signal.SIGWINCH)
            elif data:
                os.write(master, data)
            else:
                sources.discard(descriptor)


def enter(spec: dict[str, Any]) -> None:
    """Make or join the namespaces; the next fork is inside."""
    if spec["join"]:
        pid = spec["join"]
        root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names = ("pid", "uts", "mnt")
        if os.geteuid() != 0:
            names = ("user", *names)  # type: ignore[assignment]
        for name in names:
            join_namespace(pid, name)
        os.fchdir(root)
        os.chroot(".")
        return
    if os.geteuid() != 0:
        become_root_of_user_namespace()
    if spec["share_pid"]:
        join_namespace(spec["share_pid"], "pid")
        unshare(CLONE_NEWNS | CLONE_NEWUTS)
    else:
        unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID)


def main() -> int:
    """See the module's text."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    spec_fd, report_fd = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(spec_fd, "rb") as file:
        spec = json.load(file)
    if os.geteuid() != 0:
        # Only one user exists in the user namespace of a caller without rights.
        spec |= {"uid": None, "gid": None, "groups": []}
    os.set_inheritable(report_fd, False)
    master = terminal = None
    try:
        for path in spec["cgroups"]:
            with open(path, "w") as file:
                file.write(str(os.getpid()))
        enter(spec)
        if spec["tty"]:
            master, terminal = os.openpty()
    except OSError as error:
        report(report_fd, {"error": str(error), "kind": "setup"})
        return STATUS_NOT_FOUND
    child = os.fork()
    if child == 0:
        if master is not None:
            os.close(master)
        run(spec, report_fd, terminal)
    report(report_fd, {"pid": child})
    os.close(report_fd)
    if master is not None and terminal is not None:
        os.close(terminal)
        relay(master, child, spec["resize_fd"])
    else:
        # The command's ends of the streams must be the only ones.
        os.closerange(0, 3)
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    os._exit(main())

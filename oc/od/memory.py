"""Memory: what stays is not looked through again and again, what is free goes back to the system."""

from __future__ import annotations

import ctypes
import gc


def settle() -> None:
    """Call once, when all is loaded that stays: the garbage collector does not look at it again.

    A full collection holds every thread; of the 100,000 objects of modules and settings it takes 40 ms and more.
    """
    gc.collect()
    gc.freeze()


def give_back() -> bool:
    """Give pages that hold nothing back; False where the C library has no call for it (musl).

    glibc gives back by itself only the free end of a heap: after ten thousand desktops are gone, 70 MiB stay.
    Other threads go on meanwhile. https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim.argtypes = [ctypes.c_size_t]
    trim(0)
    return True

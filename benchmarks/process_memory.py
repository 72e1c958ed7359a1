"""Peak memory of the current process."""

import re
import resource
from pathlib import Path


def peak_memory() -> float:
    """The most memory, in MiB, that this process has had.

    On Linux it is read from /proc, because getrusage would also count the peak of the parent before exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

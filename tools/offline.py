"""Run a command with only the loopback network up, where the machine allows it.

python tools/offline.py python -m pytest --nbval notebooks
"""

import os
import shutil
import socket
import struct
import subprocess
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def raise_loopback():
    """Bring up `lo`, which is down in a new network namespace."""
    import fcntl  # only where there is one: Windows has none

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def can_unshare():
    """Whether this user may make a network namespace of his own."""
    if not (sys.platform == "linux" and shutil.which("unshare")):
        return False
    trial = [sys.executable, __file__, "--inside", "true"]
    return subprocess.run(["unshare", "-rn", *trial], capture_output=True).returncode == 0


if __name__ == "__main__":
    command = sys.argv[1:]
    if command[0] == "--inside":
        raise_loopback()
        os.execvp(command[1], command[1:])
    if can_unshare():
        print("Network: loopback only.", flush=True)
        command = ["unshare", "-rn", sys.executable, __file__, "--inside", *command]
    else:
        print("Network: as it is; this machine allows no network namespace.", flush=True)
    os.execvp(command[0], command)

"""Start a step: ask the kernel for SIGTERM when the runner dies, then execute the command.

    python child.py PID-OF-THE-RUNNER COMMAND...

Linux only. A killed runner cannot stop its steps; without this they would run on unnoticed.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
if os.getppid() != int(sys.argv[1]):  # the runner died before prctl
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])

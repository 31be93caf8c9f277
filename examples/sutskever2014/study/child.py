"""A step's first moments: it asks to be told when the runner dies, then becomes its command.

    python child.py PID-OF-THE-RUNNER COMMAND...

Linux only; a runner that is killed cannot tell its steps, which would go on unseen.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
if os.getppid() != int(sys.argv[1]):  # it died before
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])

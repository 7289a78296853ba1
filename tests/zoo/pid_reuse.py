# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a PID namespace: let an innocent process get the pid of the holder in the middle of a run.

``python pid_reuse.py MOMENT PYTHON PAYLOAD PROGRAMS PORT`` writes what happened as one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from zoo import harness


def main() -> None:
    moment, python, payload, programs, port = sys.argv[1:]
    harness.HERE_COPY = Path(programs)
    module = harness.Module.__new__(harness.Module)
    module.python, module.name, module.directory = python, "port_owner", Path(payload)
    holder = harness.Holder([python, programs + "/holders.py", "tcp4"], {"port": int(port)}, None, None)
    innocent: list[subprocess.Popen] = []

    def swap(dummy: str) -> None:
        holder.process.kill()
        holder.process.wait(5)
        # The kernel counts pids up and skips the ones in use: the next process gets this one.
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(holder.pid - 1))
        innocent.append(subprocess.Popen(["sleep", "60"]))

    with harness.Hook([moment], swap) as hook:
        result = module.run(port=[int(port)], state="free", settle=0, hook=hook)
    story = {
        "seen": hook.seen,
        "holder": holder.pid,
        "innocent": innocent[0].pid if innocent else None,
        "alive": bool(innocent) and innocent[0].poll() is None,
        "result": result,
    }
    for process in innocent:
        process.kill()
        process.wait(5)
    holder.end()
    sys.stdout.write(json.dumps(story) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs a command that must not outlive the test that started it.

  guard.py COMMAND ARGUMENT...

Prints `pid N` and stays until the command ends or standard input does: whoever holds the other end of that pipe need only
die, by whatever signal, and the command is killed. The kernel kills it as well should this guard die first.
"""
import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, start_new_session=True)
print(f"pid {command.pid}", flush=True)
ended = os.pidfd_open(command.pid)
ready, _, _ = select.select([sys.stdin, ended], [], [])
if ended not in ready:
    command.kill()
sys.exit(command.wait() % 256)

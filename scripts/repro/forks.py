"""Commands of the form `python -m module …` in forks of a process that has imported the libraries: they begin at once.

On their own they take one to six seconds to import PyTorch, pandas and others, on the sample longer than all else. The
process is that of multiprocessing's start method forkserver; every fork imports the project's own modules itself.
"""

import multiprocessing
import os
import runpy
import shlex
import shutil
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path

SHELL = frozenset("$;&|<>`*?~#()\\\n")
"""What only a shell makes sense of, unless it is quoted."""
LAUNCH = "${LAUNCH:-python}"


def module(command: str) -> list[str] | None:
    """Return module and arguments of a command `python -m module …`; None if it is another, or needs a shell."""
    plain = command.replace(LAUNCH, os.environ.get("LAUNCH") or "python").strip()
    words = [] if SHELL & set(plain) else shlex.split(plain)
    return words[2:] if words[:2] == ["python", "-m"] and words[2:] else None


def prepare() -> None:
    """Begin to import the libraries, beside what runs."""
    multiprocessing.set_executable(shutil.which("python") or sys.executable)
    forkserver.set_forkserver_preload([f"{__package__}.libraries"])
    forkserver.ensure_running()


class Fork:
    """Such a command while it runs: what `reproduction` uses of a subprocess.Popen."""

    def __init__(self, words: list[str], folder: str, environment: dict[str, str], *, piped: bool) -> None:
        prepare()
        context = multiprocessing.get_context("forkserver")
        reader, writer = context.Pipe(duplex=False) if piped else (None, None)
        self.stdout = None if reader is None else os.fdopen(os.dup(reader.fileno()), errors="replace")
        self.process = context.Process(target=become, args=(words, folder, environment, writer))
        self.process.start()
        if writer:
            writer.close()

    def wait(self) -> None:
        """Wait for its end, which any thread may: it leaves the status where it is."""
        wait([self.process.sentinel])

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.process.terminate()

    @property
    def returncode(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None while it runs."""
        return self.process.exitcode


def become(words: list[str], folder: str, environment: dict[str, str], output: Connection | None) -> None:
    """Do in this process what `python -m` does with `words`."""
    if output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = str(Path.cwd())
    sys.argv = ["-m", *words[1:]]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)

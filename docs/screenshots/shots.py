"""Records a demonstration and draws what `mcp-store` shows of it, as SVG.

    shots.py MCP_STORE DIRECTORY

See `run.sh`.
"""

import fcntl
import itertools
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import pyte
from pyte.graphics import FG_BG_256
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

import traffic

COLUMNS = 100
# The first colours are those of the terminal: in the picture those of its theme.
THEMED = {color: number for number, color in enumerate(FG_BG_256[:16])}


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command, lines):
        self.screen = pyte.Screen(COLUMNS, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", lines, COLUMNS, 0, 0))
            environment = {**os.environ, "TERM": "xterm-256color", "TZ": "UTC"}
            for name in ("NO_COLOR", "MCP_STORE_DB"):
                environment.pop(name, None)
            os.execvpe(command[0], command, environment)

    def watch(self, seconds=None):
        """Shows the output for this many seconds, or until the command has ended."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if end is None else max(0, end - time.monotonic())
            if not select.select([self.fd], [], [], left)[0]:
                return self
            try:
                self.stream.feed(os.read(self.fd, 65536))
            except OSError:  # No process writes any more.
                os.waitpid(self.pid, 0)
                return self

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)

    def lines(self):
        shown = [self.line(self.screen.buffer[row]) for row in range(self.screen.lines)]
        while shown and not shown[-1].plain.strip():
            shown.pop()
        return shown

    def line(self, cells):
        # Each word has a place of its own, so that columns stay aligned in any font.
        def kind(cell):
            return style(cell), cell.data.isspace()

        line = Text(end="")
        for (shown, _), alike in itertools.groupby((cells[column] for column in range(COLUMNS)), kind):
            line.append("".join(cell.data for cell in alike), shown)
        return line


def style(cell):
    def color(name):
        if name == "default":
            return None
        if name in THEMED:
            return f"color({THEMED[name]})"
        return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else name.replace("brown", "yellow")

    return Style(color=color(cell.fg), bgcolor=color(cell.bg), bold=cell.bold, reverse=cell.reverse)


def draw(path, command, lines):
    # What is drawn is in the record of a console, which writes to nowhere.
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), (" ".join(command), "bold")))
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    console.print()  # Where the picture ends, it cuts what hangs below its last line.
    # The same picture has the same bytes.
    console.save_svg(path, title="mcp-store", theme=DIMMED_MONOKAI, unique_id=Path(path).stem)


def main(mcp_store, directory):
    os.environ["PATH"] = f"{Path(mcp_store).resolve().parent}:{os.environ['PATH']}"
    directory = Path(directory).resolve()
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        server = traffic.Server()
        command = ["mcp-store", "proxy", "--db", "mcp-store.db", "--server", "travel"]
        command += ["--upstream", server.url, "--listen", "127.0.0.1:0"]
        # It prints each request, and logs where it listens.
        proxy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        url = next(found[0] for line in proxy.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/mcp(?= to )", line)))
        threading.Thread(target=proxy.stderr.read, daemon=True).start()
        try:
            record(server, url, lambda name, command, **how: shoot(f"{directory}/{name}.svg", command, **how))
        finally:
            proxy.send_signal(signal.SIGINT)
            proxy.wait()


def shoot(path, command, lines=60, seconds=None):
    terminal = Terminal(command, lines).watch(seconds)
    if seconds is not None:
        terminal.end()
    draw(path, command, terminal.lines())


def record(server, url, shot):
    def agents(seed):
        names = [("support-agent", "1.4.0"), ("trip-planner", "0.9.2"), ("nightly-report", "2.0.1")]
        return [traffic.Agent(url, *name, seed + n) for n, name in enumerate(names)]

    before = agents(1)
    traffic.work(before, 40, [False] * 3)
    before[2].end()
    server.change()
    after = agents(11)
    # The one that is late to learn of it is among them.
    top = threading.Timer(37, shot, ["top", ["mcp-store", "top"]], {"lines": 32, "seconds": 3.5})
    top.start()
    traffic.work(after, 45, [True, False, True])
    top.join()
    traffic.finish(after[0])
    time.sleep(1)  # Until all of it is in the file.

    shot("logs", ["mcp-store", "logs", "--tail", "14"])
    shot("stats", ["mcp-store", "stats", "--since", "1h"])
    shot("changes", ["mcp-store", "schema", "--changes"])


if __name__ == "__main__":
    main(*sys.argv[1:])

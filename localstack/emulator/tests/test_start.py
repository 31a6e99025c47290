"""Start and shutdown: no process survives, whichever process ends first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from start import environment

from .harness import START, Client, Emulator, alive, wait


class Ends(unittest.TestCase):
    def busy(self) -> tuple[Emulator, list[int]]:
        """An emulator with a frozen environment and a task that has a child and ignores SIGTERM."""
        emulator = Emulator()
        self.addCleanup(emulator.process.wait)
        self.addCleanup(emulator.process.kill)
        self.addCleanup(emulator.process.stdin.close)  # type: ignore[union-attr]
        self.addCleanup(emulator.process.stdout.close)  # type: ignore[union-attr]
        aws = Client(emulator.endpoint)
        aws.prepare()
        arn = aws.run("trap '' TERM; sleep 100 & echo child $!.; wait; sleep 100")
        log = emulator.folder / "run" / arn.rsplit("/", 1)[-1] / "log"
        wait(lambda: log.exists() and "." in log.read_text(), "the task to print")
        child = int(log.read_text().split()[1].rstrip("."))
        aws.create_function()
        function = aws.invoke({}).json()["pid"]
        pids = [child, function, aws.control("GET", "/_running")["containers"][0]["pid"]]
        self.assertEqual([alive(pid) for pid in pids], [True] * 3)
        return emulator, pids

    def gone(self, pids: list[int]) -> None:
        for pid in pids:
            wait(lambda: not alive(pid), f"process {pid} to end")

    def test_it_ends_when_its_stdin_closes(self) -> None:
        emulator, pids = self.busy()
        self.assertEqual(emulator.close(), 0)
        self.gone(pids)

    def test_it_ends_on_sigterm_and_sigint(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            emulator, pids = self.busy()
            emulator.process.send_signal(number)
            self.assertEqual(emulator.process.wait(30), 0)
            self.gone(pids)

    def test_nothing_survives_when_it_is_killed(self) -> None:
        emulator, pids = self.busy()
        emulator.process.kill()
        self.gone(pids)

    def test_it_ends_when_its_starter_is_killed(self) -> None:
        """The kernel closes the starter's end of the pipe."""
        images = Emulator()
        self.addCleanup(images.close)
        starter = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(START), str(images.images)], stdout=subprocess.PIPE
        )
        assert starter.stdout
        pid = int(starter.stdout.readline())
        starter.kill()
        starter.wait()
        wait(lambda: not alive(pid), "the emulator to end")
        starter.stdout.close()


STARTER = """
import subprocess, sys, time
command = [sys.executable, sys.argv[1], "--images", sys.argv[2]]
emulator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
emulator.stdout.readline()
print(emulator.pid, flush=True)
time.sleep(100)
"""


WRONG = """
import ministack.services.ecs
del ministack.services.ecs._tags
from aws_emulator import ministack
ministack.check()
"""


class Starts(unittest.TestCase):
    def test_two_emulators_share_nothing(self) -> None:
        one, two = Emulator(), Emulator()
        self.addCleanup(one.close)
        self.addCleanup(two.close)
        self.assertNotEqual(one.endpoint, two.endpoint)
        Client(one.endpoint, "000000000007").ecs("CreateCluster", clusterName="c")
        self.assertEqual(Client(two.endpoint, "000000000007").ecs("ListClusters")["clusterArns"], [])

    def test_stdout_has_one_line_and_the_temporary_folder_is_deleted(self) -> None:
        images = Emulator()
        self.addCleanup(images.close)
        emulator = subprocess.Popen(
            [sys.executable, str(START), "--images", str(images.images)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(images.folder)},
        )
        assert emulator.stdout
        self.assertIn(b"endpoint", emulator.stdout.readline())
        self.assertEqual(len(list(images.folder.glob("emulator-*"))), 1)
        rest, _ = emulator.communicate(b"")
        self.assertEqual((rest, emulator.returncode), (b"", 0))
        self.assertEqual(list(images.folder.glob("emulator-*")), [])

    def test_another_version_of_ministack_is_an_error(self) -> None:
        python = environment() / "bin" / "python"
        result = subprocess.run([python, "-c", WRONG], cwd=START.parent, stderr=subprocess.PIPE, check=False)
        self.assertIn(b"not the one pinned in requirements.txt", result.stderr)
        self.assertIn(b"ministack.services.ecs._tags", result.stderr)

    def test_the_environment_of_the_starter_is_not_inherited(self) -> None:
        os.environ["AWS_ACCESS_KEY_ID"] = "AKIANOTFORCHILDREN"
        self.addCleanup(os.environ.pop, "AWS_ACCESS_KEY_ID")
        emulator = Emulator()
        self.addCleanup(emulator.close)
        seen = Path(f"/proc/{emulator.process.pid}/environ").read_bytes()
        self.assertNotIn(b"AKIANOTFORCHILDREN", seen)

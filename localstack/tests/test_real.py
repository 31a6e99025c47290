"""The script for a real LocalStack: what it refuses, what it calls Docker for, and that it cleans up.

Docker's place is taken by a program that writes down what it is called with.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

from real import ENDPOINT, IMAGE

from .harness import START, wait

REAL = START.parent / "real.py"

DOCKER = f"""#!{sys.executable}
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
call = " ".join(word for word in sys.argv[1:] if not word.startswith("--file"))
broken = here / "broken"
if broken.exists() and call.startswith(broken.read_text()):
    sys.exit("it is broken")
if call.startswith("network inspect"):
    print("172.17.0.1")
if call.startswith("import"):
    shutil.copy(sys.argv[-2], here / "image.tar")
if call.startswith("ps"):
    print("left-1\\nleft-2")
"""

SUITE = """#!/bin/sh
env > "$(dirname "$0")/env"
echo "$@" > "$(dirname "$0")/arguments"
exit 3
"""

HANGS = """#!/bin/sh
touch "$(dirname "$0")/env"
exec sleep 100
"""


class Real(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="real-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.env = {"PATH": f"{self.folder}:/usr/bin:/bin", "LOCALSTACK_AUTH_TOKEN": "token"}
        self.program("docker", DOCKER)
        self.suite = self.program("suite", SUITE)

    def program(self, name: str, text: str) -> Path:
        """An executable in the folder."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def real(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(REAL), *map(str, arguments)]
        return subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def breaks(self, call: str) -> None:
        """Docker fails at what starts so."""
        (self.folder / "broken").write_text(call)

    def calls(self) -> list[str]:
        """What Docker was called with so far, without what is not the same each time."""
        lines = (self.folder / "calls").read_text().splitlines()
        words = [[word for word in json.loads(line) if not word.startswith(("/", "--file"))] for line in lines]
        return [" ".join(call) for call in words]

    def down(self) -> list[str]:
        """The calls by which all of it goes."""
        return [
            "compose down --volumes",
            f"ps --all --quiet --filter ancestor={IMAGE}",
            "rm --force left-1 left-2",
            f"image rm --force {IMAGE}",
        ]

    def refused(self, *words: str) -> None:
        """Both commands end with these in a line each, and nothing is started."""
        for command in (["check"], ["run", self.suite]):
            result = self.real(*command)
            self.assertEqual(result.returncode, 1)
            lines = result.stderr.splitlines()
            self.assertEqual(len(lines), len(words), result.stderr)
            for line, word in zip(lines, words, strict=True):
                self.assertIn(word, line)
                self.assertTrue(line.startswith("localstack: "), line)
        self.assertFalse((self.folder / "env").exists())

    def test_without_docker(self) -> None:
        self.env["PATH"] = str(self.folder / "nothing")
        self.refused("install Docker, https://docs.docker.com/engine/install")

    def test_without_compose(self) -> None:
        self.breaks("compose version")
        self.refused("docker-compose-plugin")

    def test_without_a_daemon(self) -> None:
        self.breaks("info")
        self.refused("it is broken")

    def test_without_a_token(self) -> None:
        self.env["LOCALSTACK_AUTH_TOKEN"] = ""
        self.refused("LOCALSTACK_AUTH_TOKEN is not set: get a token at https://app.localstack.cloud")

    def test_all_that_is_missing_is_named_at_once(self) -> None:
        del self.env["LOCALSTACK_AUTH_TOKEN"]
        self.breaks("")
        self.refused("docker-compose-plugin", "does not answer", "LOCALSTACK_AUTH_TOKEN")

    def test_with_all_of_it_there_is_nothing_to_say(self) -> None:
        result = self.real("check")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_the_suite_runs_between_up_and_down_and_its_exit_code_is_told(self) -> None:
        result = self.real("run", self.suite, "--exact", "name")
        self.assertEqual(result.returncode, 3, result.stderr)
        calls = self.calls()
        self.assertEqual(calls[:2], ["compose version", "info"])
        self.assertEqual(calls[2], "compose up --wait --quiet-pull")
        self.assertEqual(calls[3], f'import --change ENTRYPOINT ["/app"] {IMAGE}')
        self.assertEqual(calls[-4:], self.down())
        self.assertEqual((self.folder / "arguments").read_text(), "--exact name\n")
        env = (self.folder / "env").read_text().splitlines()
        self.assertIn(f"AWS_ENDPOINT_URL={ENDPOINT}", env)
        self.assertIn("FLAME_TEST_CONTAINERS=1", env)
        self.assertIn("FLAME_TEST_ADVERTISE=172.17.0.1", env)

    def test_the_image_is_the_suite_and_certificates(self) -> None:
        self.real("run", self.suite)
        with tarfile.open(self.folder / "image.tar") as tar:
            self.assertEqual(tar.getnames(), ["app", "etc/ssl/certs/ca-certificates.crt"])
            app = tar.extractfile("app")
            assert app
            self.assertEqual(app.read().decode(), SUITE)

    def test_another_way_to_reach_the_suite_can_be_told(self) -> None:
        self.env["FLAME_TEST_ADVERTISE"] = "host.docker.internal"
        self.real("run", self.suite)
        self.assertIn("FLAME_TEST_ADVERTISE=host.docker.internal", (self.folder / "env").read_text())

    def test_whatever_fails_all_of_it_goes(self) -> None:
        for call, said in (
            ("compose up", "LocalStack did not get up"),
            ("import", "the image can't be made: it is broken"),
            ("network", "set FLAME_TEST_ADVERTISE"),
        ):
            with self.subTest(call):
                self.breaks(call)
                result = self.real("run", self.suite)
                self.assertEqual(result.returncode, 1)
                self.assertIn(said, result.stderr)
                self.assertEqual(self.calls()[-4:], self.down())
                self.assertFalse((self.folder / "env").exists(), "the suite has not run")

    def test_interrupted_or_terminated_all_of_it_goes(self) -> None:
        hangs = self.program("hangs", HANGS)
        for number, to_all in ((signal.SIGINT, True), (signal.SIGTERM, False)):
            with self.subTest(number):
                (self.folder / "env").unlink(missing_ok=True)
                command = [sys.executable, str(REAL), "run", str(hangs)]
                real = subprocess.Popen(command, env=self.env, start_new_session=True)
                wait((self.folder / "env").exists, "the suite to run")
                # A terminal interrupts the suite as well.
                (os.killpg if to_all else os.kill)(real.pid, number)
                self.assertEqual(real.wait(30), 128 + number)
                self.assertEqual(self.calls()[-4:], self.down())

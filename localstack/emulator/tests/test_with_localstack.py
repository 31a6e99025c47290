"""with_localstack.py: its checks, its calls of Docker, and its cleanup.

A program that records its arguments stands in for Docker.
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

from .harness import START, wait

SCRIPT = START.parent.parent / "with_localstack.py"
ENDPOINT = "http://127.0.0.1:4566"
IMAGE = "flame-suite:1"

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


class WithLocalStack(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="with-localstack-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.env = {"PATH": f"{self.folder}:/usr/bin:/bin", "LOCALSTACK_AUTH_TOKEN": "token"}
        self.program("docker", DOCKER)
        self.suite = self.program("suite", SUITE)

    def program(self, name: str, text: str) -> Path:
        """Write an executable to the folder."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run_script(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        return subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def breaks(self, call: str) -> None:
        """Let Docker fail on calls that start like this."""
        (self.folder / "broken").write_text(call)

    def calls(self) -> list[str]:
        """The calls of Docker so far, without arguments that vary."""
        lines = (self.folder / "calls").read_text().splitlines()
        words = [[word for word in json.loads(line) if not word.startswith(("/", "--file"))] for line in lines]
        return [" ".join(call) for call in words]

    def down(self) -> list[str]:
        """The calls that clean up."""
        return [
            "compose down --volumes",
            f"ps --all --quiet --filter ancestor={IMAGE}",
            "rm --force left-1 left-2",
            f"image rm --force {IMAGE}",
        ]

    def rejected(self, *words: str) -> None:
        """Check that both commands fail with one line for each of these texts, and start nothing."""
        for command in (["check"], ["run", self.suite]):
            result = self.run_script(*command)
            self.assertEqual(result.returncode, 1)
            lines = result.stderr.splitlines()
            self.assertEqual(len(lines), len(words), result.stderr)
            for line, word in zip(lines, words, strict=True):
                self.assertIn(word, line)
                self.assertTrue(line.startswith("localstack: "), line)
        self.assertFalse((self.folder / "env").exists())

    def test_docker_is_required(self) -> None:
        self.env["PATH"] = str(self.folder / "nothing")
        self.rejected("install Docker, https://docs.docker.com/engine/install")

    def test_docker_compose_is_required(self) -> None:
        self.breaks("compose version")
        self.rejected("docker-compose-plugin")

    def test_a_running_docker_daemon_is_required(self) -> None:
        self.breaks("info")
        self.rejected("it is broken")

    def test_an_auth_token_is_required(self) -> None:
        self.env["LOCALSTACK_AUTH_TOKEN"] = ""
        self.rejected(
            "LOCALSTACK_AUTH_TOKEN is not set: get a token for a plan with ECS at https://app.localstack.cloud"
        )

    def test_everything_missing_is_named_at_once(self) -> None:
        del self.env["LOCALSTACK_AUTH_TOKEN"]
        self.breaks("")
        self.rejected("docker-compose-plugin", "does not answer", "LOCALSTACK_AUTH_TOKEN")

    def test_a_complete_setup_prints_nothing(self) -> None:
        result = self.run_script("check")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_the_suite_runs_between_up_and_down_and_its_exit_code_is_returned(self) -> None:
        result = self.run_script("run", self.suite, "--exact", "name")
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

    def test_the_image_holds_the_suite_and_certificates(self) -> None:
        self.run_script("run", self.suite)
        with tarfile.open(self.folder / "image.tar") as tar:
            self.assertEqual(tar.getnames(), ["app", "etc/ssl/certs/ca-certificates.crt"])
            app = tar.extractfile("app")
            assert app
            self.assertEqual(app.read().decode(), SUITE)

    def test_the_address_of_the_suite_can_be_overridden(self) -> None:
        self.env["FLAME_TEST_ADVERTISE"] = "host.docker.internal"
        self.run_script("run", self.suite)
        self.assertIn("FLAME_TEST_ADVERTISE=host.docker.internal", (self.folder / "env").read_text())

    def test_every_failure_cleans_up(self) -> None:
        for call, said in (
            ("compose up", "LocalStack did not start"),
            ("import", "the image could not be built: it is broken"),
            ("network", "set FLAME_TEST_ADVERTISE"),
        ):
            with self.subTest(call):
                self.breaks(call)
                result = self.run_script("run", self.suite)
                self.assertEqual(result.returncode, 1)
                self.assertIn(said, result.stderr)
                self.assertEqual(self.calls()[-4:], self.down())
                self.assertFalse((self.folder / "env").exists(), "the suite must not run")

    def test_signals_clean_up(self) -> None:
        hangs = self.program("hangs", HANGS)
        for number, to_all in ((signal.SIGINT, True), (signal.SIGTERM, False)):
            with self.subTest(number):
                (self.folder / "env").unlink(missing_ok=True)
                command = [sys.executable, str(SCRIPT), "run", str(hangs)]
                script = subprocess.Popen(command, env=self.env, start_new_session=True)
                wait((self.folder / "env").exists, "the suite to run")
                # Ctrl-C in a terminal interrupts the suite as well.
                (os.killpg if to_all else os.kill)(script.pid, number)
                self.assertEqual(script.wait(30), 128 + number)
                self.assertEqual(self.calls()[-4:], self.down())

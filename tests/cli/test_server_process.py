"""`s2st serve` as a process: load, signals, its port; and the file of `s2st explain`."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from s2st_server.options import ServeConfig

SEARCH = ("--beam", "3", "--max-len-a", "0", "--max-len-b", "8", "--threads", "1")
HOSTILE = "</script><script>alert(1)</script> \u202e & <b>"


class Server:
    """A server with its address; `log` is what it has printed."""

    def __init__(self, *arguments):
        words = [sys.executable, "-m", "s2st_cli", "serve", "--port", "0", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
        self.log, self.port = [], 0
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r"listening on http://127.0.0.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self._reader.start()

    def ask(self, path, value=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            if value is None:
                connection.request("GET", path)
            else:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(value), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(30)
        return code


@contextlib.contextmanager
def serving(*arguments):
    server = Server(*arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(30)


@pytest.mark.slow
def test_two_hundred_requests_by_sixteen_clients_get_the_lines_of_generate(s2st, world, tmp_path):
    lines = world.source.read_text("utf-8").splitlines() * 17
    lines = lines[:200]
    source = tmp_path / "in"
    source.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    expected = s2st("generate", "--checkpoint", world.forward, source, *SEARCH).lines
    with serving("--checkpoint", world.forward, *SEARCH) as server:
        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(server.ask, "/translate", {"text": line}) for line in lines]
            answers = [one.result() for one in asked]
        assert {status for status, _ in answers} == {200}
        assert [found["translations"][0]["text"] for _, found in answers] == expected
        assert server.ask("/health")[1]["requests"] == 0
        assert server.stop() == 0
    assert "error" not in "".join(server.log)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted_and_exits_with_0(world, number):
    limits = ("--concurrency", "1", "--max-line-length", "100000", "--max-beam", "50")
    with serving("--checkpoint", world.forward, *SEARCH[:2], "--threads", "1", *limits) as server:
        # a minute of work at most, much longer than a signal takes
        slow = {"lines": ["the cat sleeps . " * 60] * 8, "beam": 50}
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(server.ask, "/translate", slow) for _ in range(3)]
            deadline = time.monotonic() + 60
            while server.ask("/health")[1]["requests"] < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.stop(number) == 0
            assert [one.result()[0] for one in asked] == [200] * 3
        with pytest.raises(OSError):
            server.ask("/health")
    assert "Traceback" not in "".join(server.log)


def test_a_port_in_use_is_one_line_before_the_models_load(s2st, world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = s2st("serve", "--checkpoint", world.forward, "--port", port)
    outcome.check_error(74, f"port {port} of 127.0.0.1 is in use", "--port")


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300])
def test_an_address_of_another_machine_is_one_line(s2st, world, host):
    outcome = s2st("serve", "--checkpoint", world.forward, "--port", 0, "--host", host)
    outcome.check_error(2, "--host", "no address of this machine")


def test_wrong_options_are_one_line(s2st, world):
    s2st("serve").check_error(2, "--checkpoint")
    s2st("serve", "--checkpoint", world.folder / "none", "--port", 0).check_error(66)
    many = ("serve", "--checkpoint", world.forward, "--port", 0, "--beam", 60)
    s2st(*many).check_error(2, "--beam 60 is more than --max-beam 50")


def data_of(page):
    text = page.partition('id="data">')[2].partition("</script>")[0]
    return json.loads(text)


def test_explain_writes_a_page_that_holds_all(s2st, world, tmp_path):
    path = tmp_path / "page.html"
    models = ("--checkpoint", world.forward, "--compare", world.reversed, *SEARCH)
    outcome = s2st("explain", "the cat sleeps .", *models, "-o", path)
    assert outcome.code == 0, outcome.err
    assert f"s2st: wrote {path}" in outcome.err
    page = path.read_text("utf-8")
    data = data_of(page)
    assert [answer["model"] for answer in data["answers"]] == [m["name"] for m in data["models"]]
    assert data["answers"][0]["states"]["source"][0] == "the"
    assert data["answers"][1]["states"]["source"][0] == "."
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "http://www.w3.org/2000/svg" in page
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert "connect-src &#x27;none&#x27;" in page
    assert s2st("explain", "the cat sleeps .", *models).out == page


def test_explain_escapes_and_forces(s2st, world):
    model = ("--checkpoint", world.forward, *SEARCH)
    page = s2st("explain", HOSTILE, *model).out
    assert data_of(page)["sentence"] == HOSTILE
    assert page.count("<script") == 2
    word = data_of(page)["answers"][0]["choices"][0]["tokens"][1]
    forced = s2st("explain", "the cat .", *model, "--prefix-text", word).out
    assert data_of(forced)["answers"][0]["hypotheses"][0]["tokens"][0] == word
    s2st("explain", "a\nb", *model).check_error(65, "line break")
    s2st("explain", "", *model).check_error(2, "SENTENCE is empty; give it a value")


@pytest.mark.slow
def test_the_requests_of_the_document_get_the_documented_answers(world):
    """The body of the page's curl command, and the fields that its tables name."""
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
    (body,) = re.findall(r"curl .* -d '(.*)' http://127.0.0.1:8000/translate", page)
    limits = dict(re.findall(r"^\| `(--[a-z-]+)` \| ([\d,]+) \|", page, re.MULTILINE))
    defaults = {f"--{one.name.replace('_', '-')}": one.default for one in fields(ServeConfig)}
    assert len(limits) == 6
    assert all(int(value.replace(",", "")) == defaults[flag] for flag, value in limits.items())
    with serving("--checkpoint", world.forward, *SEARCH) as server:
        status, answer = server.ask("/translate", json.loads(body))
        assert status == 200
        (translation,) = answer["translations"]
        assert len(translation["hypotheses"]) == 2
        for name in (*answer, *translation, *translation["hypotheses"][0], "requests"):
            assert f"`{name}`" in page, name
        # a body that does not arrive keeps nobody else waiting
        with socket.create_connection(("127.0.0.1", server.port)) as silent:
            silent.sendall(
                b"POST /translate HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            )
            assert server.ask("/translate", json.loads(body))[0] == 200
        assert server.stop() == 0

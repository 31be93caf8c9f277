"""The JSON interface of `s2st serve`, in this process: answers, limits, refusals, hostile input."""

import json
import threading

import pytest

import s2st as library

pytest.importorskip("starlette")
pytest.importorskip("httpx")
import anyio
from starlette.requests import Request
from starlette.testclient import TestClient

from s2st_server import limits
from s2st_server.addresses import host_name, is_loopback
from s2st_server.app import make_app
from s2st_server.openapi import description
from s2st_server.options import PageConfig, ServeConfig
from s2st_server.requests import RefusedError
from s2st_server.shown_models import load_shown

SENTENCE = "the cat sleeps ."
SEARCH = {"beam": 3, "max_len_a": 0.0, "max_len_b": 6}
HOSTILE = "<script>alert(1)</script> \u202e\u0000 </textarea> & 'a' \"b\""


@pytest.fixture(scope="module")
def shown(world):
    paths = [str(world.forward)]
    return load_shown(paths, [str(world.reversed)], {"threads": 1}, SEARCH)


@pytest.fixture(scope="module")
def client(shown):
    with TestClient(make_app(shown, ServeConfig(), PageConfig()), "http://localhost") as made:
        yield made


@pytest.fixture(scope="module")
def model(world):
    return library.load(world.forward, threads=1)


def fits(value, schema, schemas):
    """Whether a value has the types and fields of an OpenAPI schema."""
    if "$ref" in schema:
        return fits(value, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "oneOf" in schema and "type" not in schema:
        return any(fits(value, one, schemas) for one in schema["oneOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types = {
        "string": str, "number": (int, float), "integer": int, "boolean": bool, "array": list,
        "object": dict, "null": type(None),
    }  # fmt: skip
    if not any(isinstance(value, types[kind]) for kind in kinds):
        return False
    if isinstance(value, dict):
        known = schema["properties"]
        return (
            set(schema["required"]) <= set(value) <= set(known)
            and all(fits(inner, known[name], schemas) for name, inner in value.items())
        )  # fmt: skip
    if isinstance(value, list):
        return all(fits(inner, schema["items"], schemas) for inner in value)
    return True


def refused(answer, status, part=""):
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert part in answer.json()["error"]


def test_translate_answers_what_the_python_interface_gives(client, model):
    lines = [SENTENCE, "", "never seen words", HOSTILE]
    answer = client.post("/translate", json={"lines": lines, "nbest": 2})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert fits(
        found, {"$ref": "/Translations"}, description(ServeConfig())["components"]["schemas"]
    )
    expected = model.nbest(lines, 2, **SEARCH)
    assert len(found["translations"]) == len(lines)
    for line, one, hypotheses in zip(lines, found["translations"], expected, strict=True):
        assert one["source"] == line
        assert one["text"] == hypotheses[0].text
        assert [h["text"] for h in one["hypotheses"]] == [h.text for h in hypotheses]
        for got, wanted in zip(one["hypotheses"], hypotheses, strict=True):
            assert got["tokens"] == list(wanted.tokens)
            assert got["token_log_probs"] == pytest.approx(wanted.token_log_probs.tolist())
            assert got["score"] == pytest.approx(wanted.score)


def test_translate_takes_text_model_beam_and_prefix(client, world, model):
    other = client.get("/health").json()["models"][1]["name"]
    body = {"text": SENTENCE, "model": other, "beam": 2}
    backward = library.load(world.reversed, threads=1)
    (found,) = client.post("/translate", json=body).json()["translations"]
    assert [found["text"]] == backward.translate([SENTENCE], **{**SEARCH, "beam": 2})
    start = model.explain(SENTENCE, **SEARCH).choices[0].tokens[1]
    for prefix in (start, [start]):
        body = {"lines": [SENTENCE], "prefix": prefix}
        (found,) = client.post("/translate", json=body).json()["translations"]
        assert found["hypotheses"][0]["tokens"][0] == start


def test_explain_answers_what_the_python_interface_gives(client, model):
    found = client.post("/explain", json={"text": SENTENCE, "alternatives": 4}).json()
    assert fits(
        found, {"$ref": "/Explanation"}, description(ServeConfig())["components"]["schemas"]
    )
    expected = model.explain(SENTENCE, alternatives=4, **SEARCH)
    assert [node["token"] for node in found["tree"]] == [node.token for node in expected.tree]
    assert [c["tokens"] for c in found["choices"]] == [list(c.tokens) for c in expected.choices]
    assert found["states"]["source"] == list(expected.states.source)
    forced = [*expected.choices[1].prefix, expected.choices[1].tokens[1]]
    again = client.post("/explain", json={"text": SENTENCE, "prefix": forced}).json()
    assert again["hypotheses"][0]["tokens"][:2] == forced


def test_health_and_description(client):
    schemas = description(ServeConfig())["components"]["schemas"]
    health = client.get("/health").json()
    assert fits(health, {"$ref": "/Health"}, schemas)
    assert [m["source_lang"] for m in health["models"]] == ["en", "en"]
    names = [m["name"] for m in health["models"]]
    assert names == ["forward/checkpoint_best", "reversed/checkpoint_best"]
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/translate", "/explain", "/health", "/openapi.json"}
    references = set()

    def walk(value):
        if isinstance(value, dict):
            references.update([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            [walk(inner) for inner in value]

    walk(described)
    assert {name.rpartition("/")[2] for name in references} == set(schemas)


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 200_000, 400, "JSON"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "JSON"),
        (b"[]", 422, "object"),
        (b"{}", 422, "text or lines"),
        (b'{"text": "a", "lines": ["a"]}', 422, "text or lines"),
        (b'{"text": 5}', 422, "text must be a text"),
        (b'{"text": null}', 422, "text must be a text"),
        (b'{"lines": "a"}', 422, "list of one or more texts"),
        (b'{"lines": []}', 422, "list of one or more texts"),
        (b'{"lines": [1]}', 422, "lines[0] must be a text"),
        (b'{"lines": ["a", "b"], "prefix": ["c"]}', 422, "2 lines, but 1 prefixes"),
        (b'{"text": "a\\nb"}', 422, "line break"),
        (b'{"text": "\\ud800"}', 422, "surrogate"),
        (b'{"text": "a", "model": "\\ud800"}', 422, "surrogate"),
        (b'{"text": "a", "model": "x"}', 422, "no model 'x'"),
        (b'{"text": "a", "beam": 0}', 422, "beam"),
        (b'{"text": "a", "beam": 51}', 422, "from 1 to 50"),
        (b'{"text": "a", "beam": true}', 422, "beam"),
        (b'{"text": "a", "beam": 2.5}', 422, "beam"),
        (b'{"text": "a", "beam": NaN}', 422, "beam"),
        (b'{"text": "a", "beam": 2, "nbest": 3}', 422, "nbest 3 is more than beam 2"),
        (b'{"text": "a", "beem": 2}', 422, "unknown field 'beem'"),
        (b'{"text": "' + b"a" * 2001 + b'"}', 413, "2001 characters"),
        (b'{"lines": [' + b'"a",' * 100 + b'"a"]}', 413, "101 items"),
        (b'{"text": "a", "beam": ' + b"1" * 5000 + b"}", 400, "JSON"),
    ],
    ids=range(28),
)  # fmt: skip
def test_bad_bodies_get_one_clear_error(client, body, status, part):
    answer = client.post("/translate", content=body, headers={"Content-Type": "application/json"})
    refused(answer, status, part)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"text": "a", "prefix": ["</s>"]}, "no token"),
        ({"text": "a", "prefix": 5}, "prefix must be a text"),
        ({"text": "a", "alternatives": 101}, "from 1 to 100"),
        ({"lines": ["a"]}, "unknown field"),
    ],
)
def test_explain_refuses(client, body, part):
    refused(client.post("/explain", json=body), 422, part)


def test_large_bodies_are_not_read(client):
    body = b'{"text": "' + b"a" * 10_000_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    refused(client.post("/translate", content=body, headers=headers), 413, "1000000 bytes")
    parts = (body[i : i + 100_000] for i in range(0, len(body), 100_000))  # no Content-Length
    refused(client.post("/translate", content=parts, headers=headers), 413, "1000000 bytes")


def test_other_types_methods_and_paths(client):
    refused(client.post("/translate", content=b"{}"), 415, "Content-Type")
    plain = {"Content-Type": "text/plain"}
    refused(client.post("/translate", content=b'{"text": "a"}', headers=plain), 415)
    refused(client.get("/translate"), 405)
    refused(client.get("/nothing"), 404)
    refused(client.get("/../../etc/passwd"), 404)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000"])
def test_local_hosts_are_answered(client, host):
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::1"]
)
def test_other_hosts_are_refused_on_loopback(client, host):
    refused(client.get("/health", headers={"Host": host}), 421, "localhost only")
    refused(client.post("/translate", json={"text": "a"}, headers={"Host": host}), 421)


def test_hosts_of_a_proxy_and_of_an_open_server(shown):
    app = make_app(shown, ServeConfig(allow_host=("mt.example",)), PageConfig())
    assert TestClient(app, "http://MT.example").get("/health").status_code == 200
    assert TestClient(app, "http://other.example").get("/health").status_code == 421
    app = make_app(shown, ServeConfig(host="0.0.0.0"), PageConfig())
    assert TestClient(app, "http://other.example").get("/health").status_code == 200
    loopback = ("127.0.0.1", "127.0.0.2", "::1", "localhost")
    assert [is_loopback(one) for one in loopback] == [True] * 4
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))
    assert [host_name(h) for h in ("A:1", "[::1]:2", "b")] == ["a", "[::1]", "b"]


def test_every_answer_has_the_security_headers(client):
    for answer in (client.get("/"), client.get("/health"), client.get("/nothing"),
                   client.get("/health", headers={"Host": "evil.example"})):  # fmt: skip
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_more_than_the_queue_holds_gets_503_and_the_rest_is_answered(shown, monkeypatch):
    config = ServeConfig(concurrency=1, queue_size=1)
    go, started = threading.Event(), threading.Event()

    def wait(lines, *arguments, **options):
        started.set()
        assert go.wait(30)
        return []

    monkeypatch.setattr(shown[0].model, "nbest", wait)
    with TestClient(make_app(shown, config, PageConfig()), "http://localhost") as client:
        answers = []

        def ask():
            answers.append(client.post("/translate", json={"text": "a"}))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        threads[0].start()
        assert started.wait(30)
        threads[1].start()
        while client.get("/health").json()["requests"] < 2:  # answered while others compute
            pass
        full = client.post("/translate", json={"text": "a"})
        refused(full, 503, "try again")
        assert full.headers["Retry-After"] == "1"
        go.set()
        for thread in threads:
            thread.join(30)
    assert len(answers) == 2
    assert {answer.status_code for answer in answers} == {500}  # the stand-in found no lists


def test_waiting_requests_are_computed_together_and_get_their_own_answers(shown, monkeypatch):
    """One computes; meanwhile others with equal and other options arrive, one of them wrong."""
    asked, go, started = [], threading.Event(), threading.Event()
    nbest = shown[0].model.nbest

    def wait(lines, count, **options):
        asked.append((len(lines), count, options["beam"], options["prefix"] is not None))
        started.set()
        assert go.wait(30)
        return nbest(lines, count, **options)

    monkeypatch.setattr(shown[0].model, "nbest", wait)
    sentences = [SENTENCE, "a dog", "", "the dog runs .", "cat"]
    bodies = [{"lines": sentences[:2]}, {"text": sentences[2]}, {"lines": sentences[3:]}]
    bodies += [{"text": SENTENCE, "beam": 2}, {"text": SENTENCE, "nbest": 2}]
    config = ServeConfig(concurrency=1)
    with TestClient(make_app(shown, config, PageConfig()), "http://localhost") as client:
        found = {}

        def ask(place, body):
            found[place] = client.post("/translate", json=body)

        threads = [threading.Thread(target=ask, args=(-1, {"text": "first"}))]
        threads[0].start()
        assert started.wait(30)
        for place, body in enumerate(bodies):
            threads.append(threading.Thread(target=ask, args=(place, body)))
            threads[-1].start()
            while client.get("/health").json()["requests"] < place + 2:
                pass
        go.set()
        for thread in threads:
            thread.join(30)
    assert asked == [(1, 1, 3, False), (5, 1, 3, False), (1, 1, 2, False), (1, 2, 3, False)]
    for place, body in enumerate(bodies):
        lines = body.get("lines") or [body["text"]]
        expected = nbest(lines, body.get("nbest", 1), **{**SEARCH, "beam": body.get("beam", 3)})
        translations = found[place].json()["translations"]
        assert [one["source"] for one in translations] == lines
        for one, hypotheses in zip(translations, expected, strict=True):
            assert [h["text"] for h in one["hypotheses"]] == [h.text for h in hypotheses]


def test_an_internal_error_is_an_answer_without_details(shown, monkeypatch, caplog):
    def fail(*arguments, **options):
        raise RuntimeError("secret")

    monkeypatch.setattr(shown[0].model, "explain", fail)
    with TestClient(make_app(shown, ServeConfig(), PageConfig()), "http://localhost") as client:
        answer = client.post("/explain", json={"text": "a"})
        refused(answer, 500, "internal error")
        assert "secret" not in answer.text
        assert client.get("/health").status_code == 200


def test_the_page_escapes_its_data(shown):
    from s2st_server.page import written_page

    page = written_page(HOSTILE, [{"name": HOSTILE}], [{"a": HOSTILE}])
    text = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(text)["sentence"] == HOSTILE
    assert not set("<>&\u202e\u0000") & set(text)
    assert page.count("<script") == 2
    assert page.isascii() or HOSTILE not in page


def test_a_body_that_does_not_arrive_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"9")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, anyio.sleep_forever)
    with pytest.raises(RefusedError) as caught:
        anyio.run(limits.read_body, request, 100)
    assert caught.value.status == 408

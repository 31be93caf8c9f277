"""Plugins that go wrong: they are named, with file and line, and never spoil what s2st computes."""

import sys
from importlib import invalidate_caches

import pytest

from s2st.options import plugin_faults, registry

SEARCH = """
from dataclasses import dataclass
import torch
from s2st.search.base import Search
from s2st.search.restrictions import restrictions
from s2st.search.beam import BeamSearch
from s2st.search.greedy import GreedySearch
from s2st.search.registry import SEARCHES, BeamConfig, GreedyConfig, SearchConfig

class Mine(Search):
    def __init__(self, config):
        self.config = config
        self.inner = GreedySearch(GreedyConfig(max_len_a=1, max_len_b=2))
    def __call__(self, scorer, source):
        return self.inner(scorer, source)
SEARCHES.register("mine", SearchConfig, Mine, "a search of a test")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Writes a module of code and gives its name."""
    monkeypatch.setattr(registry, "_loaded_plugins", [])
    monkeypatch.setattr(registry, "_entry_points_loaded", True)
    monkeypatch.setattr(plugin_faults, "_modules", set())
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    (tmp_path / "plugins").mkdir()
    made = []

    def write(code: str, name: str = "odd_plugin") -> str:
        (tmp_path / "plugins" / f"{name}.py").write_text(code)
        invalidate_caches()
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


def line_of(code: str, part: str) -> str:
    """ "odd_plugin.py, line N" of the first line that has the part."""
    number = next(i for i, line in enumerate(code.split("\n"), start=1) if part in line)
    return f"odd_plugin.py, line {number}"


def generate(world, *options):
    return ["generate", "--checkpoint", world.forward, world.source, *options]


RAISED = [
    "1 / 0",
    "raise ValueError('first\\nsecond')",
    "raise SystemExit(0)",
    "raise SystemExit('gone')",
    "raise KeyboardInterrupt",
    "raise EOFError('nothing there')",
    "raise GeneratorExit",
    "raise type('Own', (BaseException,), {})('mine')",
    "open('/no/such/file')",
    "torch.zeros(2) @ torch.zeros(3)",
    "None.attribute",
    "assert False",
]


@pytest.mark.parametrize("raised", RAISED)
def test_what_a_search_raises_names_the_plugin_and_its_line(s2st, world, plugin, raised):
    code = SEARCH.replace("return self.inner(scorer, source)", raised)
    outcome = s2st(*generate(world, "--plugin", plugin(code), "--search", "mine"))
    outcome.check_error(1, "plugin odd_plugin (", line_of(code, raised))
    assert "defect of s2st" not in outcome.err


@pytest.mark.parametrize("raised", RAISED)
def test_what_a_plugin_raises_at_its_import(s2st, world, plugin, raised):
    code = f"import torch\n{raised}\n"
    for command in (["list"], generate(world), ["train", world.store]):
        outcome = s2st(*command, "--plugin", plugin(code))
        outcome.check_error(2, "plugin 'odd_plugin' cannot be loaded", "odd_plugin.py, line 2")


def test_a_place_within_the_plugins_own_modules(s2st, world, plugin):
    """Its line is the innermost of its own code, in whatever of its modules that is."""
    plugin("def work():\n    return {}['gone']\n", "odd_neighbour")
    code = SEARCH.replace("return self.inner(scorer, source)", "odd_neighbour.work()")
    code = "import odd_neighbour\n" + code
    outcome = s2st(*generate(world, "--plugin", plugin(code), "--search", "mine"))
    outcome.check_error(1, "plugin odd_neighbour", "odd_neighbour.py, line 2", "KeyError: 'gone'")


@pytest.mark.parametrize(
    ("registered", "parts"),
    [
        ("'bad', SearchConfig, str, ''", ("returned a value of type str", "Search")),
        ("'bad', SearchConfig, lambda config: None, ''", ("type NoneType", "odd_plugin")),
        ("'bad', SearchConfig, lambda: 3, ''", ("cannot be called", "odd_plugin")),
        ("'bad', SearchConfig, Half, ''", ("cannot be called", "abstract")),
    ],
)
def test_builders_that_give_something_else(s2st, world, plugin, registered, parts):
    half = "class Half(Search):\n    __init__ = Mine.__init__\n"
    code = SEARCH + half + f"SEARCHES.register({registered})\n"
    outcome = s2st(*generate(world, "--plugin", plugin(code), "--search", "bad"))
    outcome.check_error(2, "search 'bad'", *parts)


@pytest.mark.parametrize("kind", ["architecture", "criterion", "optimizer", "schedule"])
def test_builders_of_training_that_give_something_else(s2st, world, plugin, tmp_path, kind):
    registries = {
        "architecture": ("s2st.models.registry:ARCHITECTURES", "--arch"),
        "criterion": ("s2st.criteria.registry:CRITERIA", "--criterion"),
        "optimizer": ("s2st.training.optimizers:OPTIMIZERS", "--optimizer"),
        "schedule": ("s2st.training.lr_schedules:SCHEDULES", "--lr-scheduler"),
    }
    place, option = registries[kind]
    module, name = place.split(":")
    code = (
        f"from dataclasses import dataclass\nfrom {module} import {name}\n"
        "@dataclass(frozen=True)\nclass Config:\n    pass\n"
        f"{name}.register('bad', Config, lambda *given: 3, '')\n"
    )
    outcome = s2st(
        "train",
        world.store,
        "--save-dir",
        tmp_path / "new",
        "--plugin",
        plugin(code),
        option,
        "bad",
    )
    outcome.check_error(2, f"{kind} 'bad'", "type int", "odd_plugin")


CONFIG = "@dataclass(frozen=True)\nclass Config:\n    {}\n"


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("SEARCHES.register('x', dict, Mine, '')", ("'x'", "frozen dataclass")),
        ("SEARCHES.register('x', None, Mine, '')", ("'x'", "frozen dataclass")),
        ("SEARCHES.register('x', SearchConfig(), Mine, '')", ("'x'", "frozen dataclass")),
        ("SEARCHES.register('x y', SearchConfig, Mine, '')", ("'x y'", "white space")),
        ("SEARCHES.register('', SearchConfig, Mine, '')", ("1 to 80 characters",)),
        ("SEARCHES.register('x' * 81, SearchConfig, Mine, '')", ("1 to 80 characters",)),
        ("SEARCHES.register(7, SearchConfig, Mine, '')", ("1 to 80 characters",)),
        ("SEARCHES.register('--x', SearchConfig, Mine, '')", ("'--x'", "start with '-'")),
        ("SEARCHES.register('x\\x1b[31m', SearchConfig, Mine, '')", ("control",)),
        ("SEARCHES.register('x\\u202e', SearchConfig, Mine, '')", ("control",)),
        ("SEARCHES.register('x', SearchConfig, 3, '')", ("'x'", "its builder must be")),
        ("SEARCHES.register('x', SearchConfig, Mine, None)", ("'x'", "description")),
        ("SEARCHES.preset('x y', 'beam', {}, '')", ("'x y'", "white space")),
        (CONFIG.format("a: dict = None") + "SEARCHES.register('x', Config, Mine, '')", ("'a'",)),
        (CONFIG.format("a: 'Gone' = 3") + "SEARCHES.register('x', Config, Mine, '')", ("'x'",)),
        (CONFIG.format("a: int = 'b'") + "SEARCHES.register('x', Config, Mine, '')", ("'a'",)),
        (CONFIG.format("a: list[int] = ()") + "SEARCHES.register('x', Config, Mine, '')", ("'a'",)),
    ],
)
def test_what_cannot_be_registered(s2st, plugin, code, parts):
    outcome = s2st("list", "--plugin", plugin(SEARCH + code + "\n"))
    outcome.check_error(2, "plugin 'odd_plugin' cannot be loaded: UsageError", *parts)


@pytest.mark.parametrize("name", [".", "..x", "a/b", "odd plugin", "odd_plugin.py", "-"])
def test_names_that_no_module_has(s2st, name):
    s2st("list", "--plugin", name).check_error(2, "cannot be loaded")


PRINTED = """
import sys
print("at import")
sys.stdout.write("written at import\\n")
"""


def test_what_a_plugin_prints_is_not_among_the_data(s2st, world, plugin):
    plain = s2st(*generate(world, "--search", "greedy", "--max-len-a", "1", "--max-len-b", "2"))
    code = PRINTED + SEARCH.replace("return self.inner", "print('searching'); return self.inner")
    outcome = s2st(*generate(world, "--plugin", plugin(code), "--search", "mine"))
    assert outcome.code == 0, outcome.err
    assert outcome.data == plain.data
    for text in ("at import", "written at import", "searching"):
        assert text in outcome.err


IN_PLACE = '''
class Writing(Search):
    """Greedy search as any plugin may write it: no inference mode, log-probabilities changed."""

    def __init__(self, config):
        self.config = config
    def __call__(self, scorer, source):
        forbid = restrictions(self.config, source, scorer.device)
        state = scorer.start(source)
        tokens = torch.ones(len(source), dtype=torch.int64)
        rows = torch.arange(len(source))
        words = [[] for _ in rows]
        values = [[] for _ in rows]
        open_rows = list(range(len(source)))
        while open_rows:
            result = scorer.step(tokens, state)
            allowed = forbid(result.log_probs)
            best = allowed.max(dim=1)
            STRAY
            for row, word, value in zip(open_rows, best.indices.tolist(), best.values.tolist()):
                values[row].append(value)
                if word != 2:
                    words[row].append(word)
            keep = (best.indices != 2).nonzero().squeeze(1)
            open_rows = [open_rows[k] for k in keep.tolist()]
            tokens = best.indices[keep]
            state = result.state.select(keep)
            forbid = forbid.select(keep, tokens)
            keep.zero_()
        return [[Hypothesis(tuple(w), tuple(v), sum(v), sum(v), True)]
                for w, v in zip(words, values)]
from s2st.search.base import Hypothesis
SEARCHES.register("writing", GreedyConfig, Writing, "")
'''
SHORT = ["--max-len-a", "1", "--max-len-b", "2"]


@pytest.mark.parametrize("model", ["forward", "ensemble"])
def test_a_search_may_write_into_log_probabilities_anywhere(s2st, world, plugin, model):
    """Outside of inference mode too; and it finds what the built-in greedy search finds."""
    models = [] if model == "forward" else ["--checkpoint", world.gru]
    code = SEARCH + IN_PLACE.replace("STRAY", "allowed.fill_(0)")
    loaded = ["--plugin", plugin(code), "--search", "writing"]
    outcome = s2st(*generate(world, *models, *loaded, *SHORT))
    assert outcome.code == 0, outcome.err
    plain = s2st(*generate(world, *models, "--search", "greedy", *SHORT))
    assert outcome.out == plain.out


def test_a_search_cannot_write_into_what_is_not_its_own(s2st, world, plugin):
    """The state of a step is that of the next one too: an error that names the plugin's line."""
    code = SEARCH + IN_PLACE.replace("STRAY", "result.state.memory.zero_()")
    loaded = ["--plugin", plugin(code), "--search", "writing"]
    outcome = s2st(*generate(world, *loaded, *SHORT))
    outcome.check_error(1, "plugin odd_plugin", line_of(code, "memory.zero_"), "nplace")


MODEL = """
from s2st.models.configs import RecurrentConfig
from s2st.models.registry import ARCHITECTURES
from s2st.models.recurrent.encoder_decoder import build_lstm
def build(config, sizes):
    model = build_lstm(config, sizes)
    encode, step, decode = model.encode, model.step, model.decode
    def careless_encode(source):
        made = encode(source)
        source.tokens.fill_(3)
        source.lengths.fill_(2)
        return made
    def careless_step(tokens, state):
        made = step(tokens, state)
        tokens.fill_(3)
        return made
    def careless_decode(target_in, state):
        made = decode(target_in, state)
        target_in.fill_(3)
        return made
    model.encode, model.step, model.decode = careless_encode, careless_step, careless_decode
    return model
ARCHITECTURES.register("careless", RecurrentConfig, build, "writes into what it is given")
"""


def test_a_model_that_writes_into_its_input_spoils_nothing_else(s2st, world, plugin, tmp_path):
    """The same weights in a careful model give the same translations, lists and scores."""
    import shutil

    from tampering import reseal

    shutil.copytree(world.forward.resolve(), tmp_path / "careless")
    reseal(tmp_path / "careless", lambda m: m["architecture"].update(name="careless"))
    name = plugin(MODEL)
    (tmp_path / "lists").write_text("0 ||| le chat ||| A= 1 ||| -1\n0 ||| le ||| A= 1 ||| -1\n")
    for others in ([], ["--checkpoint", world.gru]):
        for command in (
            ["generate", world.source, "--format", "json", "--nbest", "3", *SHORT],
            ["generate", world.source, "--search", "sampling", *SHORT],
            ["score", "--source", world.source, "--target", world.target],
            ["rescore-nbest", tmp_path / "lists", "--source", world.source, "--format", "nbest"],
        ):
            plain = s2st(*command, "--checkpoint", world.forward, *others)
            own = s2st(*command, "--checkpoint", tmp_path / "careless", *others, "--plugin", name)
            assert own.code == plain.code == 0, own.err
            assert own.out == plain.out, command


def test_an_error_of_s2st_itself_beside_a_plugin_names_both(s2st, world, plugin):
    """No code of the plugin was running: what it gave back may be wrong, or s2st is."""
    code = SEARCH.replace("return self.inner(scorer, source)", "return 3")
    outcome = s2st(*generate(world, "--plugin", plugin(code), "--search", "mine"))
    assert outcome.code == 1
    assert "a bug in s2st or in a plugin (odd_plugin)" in outcome.err
    assert len(outcome.err.splitlines()) == 1


CRITERION = """
from dataclasses import dataclass
from s2st.criteria.cross_entropy import CrossEntropy
from s2st.criteria.registry import CRITERIA, CrossEntropyConfig
from s2st.training.lr_schedules import SCHEDULES, FixedConfig, Schedule

class Mine(CrossEntropy):
    def __call__(self, model, batch):
        return super().__call__(model, batch)
    def begin_update(self, update):
        pass
CRITERIA.register("mine", CrossEntropyConfig, Mine, "")

class Own(Schedule):
    def factor(self, update, epoch):
        return 1.0
    def validated(self, loss):
        pass
SCHEDULES.register("own", FixedConfig, lambda config: Own(), "")
"""


@pytest.mark.parametrize("raised", ["raise SystemExit(0)", "1 / 0"])
@pytest.mark.parametrize("where", ["return super().__call__(model, batch)", "return 1.0"])
def test_what_training_calls(s2st, world, plugin, tmp_path, tiny, where, raised):
    code = CRITERION.replace(where, raised)
    outcome = s2st(
        "train", world.store, *tiny, "--save-dir", tmp_path / "new", "--plugin", plugin(code),
        "--criterion", "mine", "--lr-scheduler", "own",
    )  # fmt: skip
    assert outcome.code == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith("s2st: error: plugin odd_plugin (")
    assert line_of(code, raised) in last


def test_a_plugin_that_is_in_order_trains_and_is_used(s2st, world, plugin, tmp_path, tiny):
    outcome = s2st(
        "train", world.store, *tiny, "--save-dir", tmp_path / "new", "--plugin", plugin(CRITERION),
        "--criterion", "mine", "--lr-scheduler", "own", "-a", "lstm", "--seed", "2",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err

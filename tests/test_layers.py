"""The architecture's rules as tests: layers, no cycles, who may print, what --help may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    (
        "errors",
        "registry",
        "config",
        "device",
        "durable",
        "manifest",
        "reading",
        "snapshots",
        "components",
        "interrupt",
        "joining",
        "ranks",
    ),
    ("text", "demo_corpus"),
    ("data", "ngram"),
    ("models",),
    ("criteria", "scoring"),
    ("search", "rescoring"),
    ("training",),
    ("pipelines",),
    ("analysis",),
)
LAYER_OF = {f"s2st.{name}": level for level, names in enumerate(LAYERS) for name in names}
LAYER_OF["s2st_cli"] = len(LAYERS)
HEAVY = {"matplotlib", "torch", "sacrebleu", "sacremoses", "sentencepiece", "safetensors"}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path
    for package in ("s2st", "s2st_cli")
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}


def part_of(module):
    """s2st.text.lines -> s2st.text; s2st_cli.main -> s2st_cli."""
    return ".".join(module.split(".")[:2]) if module.startswith("s2st.") else module.split(".")[0]


def imports(name):
    """(module, node) of every import, inside functions too; `from a import b` may mean a.b."""
    package = name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield (whole if whole in FILES else base), node


def type_checking_nodes(tree):
    """Nodes under `if TYPE_CHECKING:`, which are not run."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def own_imports(name):
    """Modules of the project that a module imports, its own packages' __init__ left out."""
    return {target for target, _ in imports(name) if target.split(".")[0] in LAYER_ROOTS}


LAYER_ROOTS = {"s2st", "s2st_cli"}


@pytest.mark.parametrize("name", FILES)
def test_a_module_imports_only_from_below_or_its_own_folder(name):
    if name == "s2st":
        assert own_imports(name) == set()
        return
    own = part_of(name)
    assert own in LAYER_OF, f"{name} has no layer: name it in LAYERS"
    for target in own_imports(name) - {"s2st"}:
        part = part_of(target)
        assert part in LAYER_OF, f"{target} has no layer"
        below = LAYER_OF[part] < LAYER_OF[own]
        # errors, registry, config and so on are single files of one folder, s2st itself
        neighbours = part == own or LAYER_OF[own] == LAYER_OF[part] == 0
        assert below or neighbours, f"{name} imports {target}"


def test_there_is_no_import_cycle():
    graph = {name: own_imports(name) & set(FILES) for name in FILES}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for target in sorted(graph[name] - {name}):
            visit(target)
        path.pop()
        done.add(name)

    for name in graph:
        visit(name)
    assert done == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_only_the_command_line_imports_click_or_rich(name):
    used = {target.split(".")[0] for target, _ in imports(name)}
    if not name.startswith("s2st_cli"):
        assert used.isdisjoint({"click", "rich"})
    assert used.isdisjoint({"pickle", "shelve", "marshal", "dill", "joblib"})


def calls(name):
    """(text of what is called, line)."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("name", FILES)
def test_forbidden_calls(name):
    for called, node in calls(name):
        where = f"{name}, line {node.lineno}: {called}"
        if name.split(".")[0] == "s2st":
            assert called not in ("print", "exit", "quit", "sys.exit", "os._exit"), where
        assert called not in ("eval", "exec", "compile", "__import__"), where
        assert called not in ("torch.load", "torch.save"), where
        if called in ("np.load", "numpy.load"):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert given.get("allow_pickle") == "False", where


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_swallowed_by_double_star_arguments(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            assert node.args.kwarg is None, f"{name}, line {node.lineno}"


@pytest.mark.parametrize("name", FILES)
def test_no_room_is_called_helpers(name):
    assert not {"utils", "util", "helpers", "misc", "common"} & set(name.split("."))


def test_search_pipelines_see_only_scorers():
    """Search never sees a model: of the models it may know the decoder's state at most."""
    for name in FILES:
        if name.startswith("s2st.search"):
            seen = {target for target in own_imports(name) if target.startswith("s2st.models")}
            assert seen <= {"s2st.models.base"}, name
            names = {node.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Name)}
            assert "Seq2SeqModel" not in names, name


def test_the_bottom_layer_imports_nothing_heavy_at_the_top():
    for name in FILES:
        level = LAYER_OF.get(part_of(name))
        registry_or_config = name.rsplit(".", 1)[-1] in ("registry", "config", "options")
        if level not in (0, 1) and not registry_or_config:
            continue
        unseen = type_checking_nodes(TREES[name])
        top = {
            target.split(".")[0]
            for target, node in imports(name)
            if node.col_offset == 0 and node not in unseen
        }
        assert top.isdisjoint(HEAVY), f"{name} imports {top & HEAVY}"


COMMANDS = [name for name in FILES if name.startswith("s2st_cli.") and name != "s2st_cli.__main__"]


def test_importing_the_command_line_imports_nothing_heavy():
    code = (
        "import importlib, sys\n"
        f"for name in {COMMANDS!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = sorted({HEAVY!r} & set(sys.modules))\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
        "print('light')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "light", result.stderr[-2000:]


def test_every_file_opens_with_a_docstring():
    for name, tree in TREES.items():
        assert ast.get_docstring(tree), name

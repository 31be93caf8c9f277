"""The architecture's rules as tests: layers, no cycles, who may print, what --help may import."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("errors", "options", "process"),
    ("text", "demo_corpus"),
    ("data", "ngram"),
    ("models", "lexicon"),
    ("criteria", "scoring"),
    ("search", "rescoring"),
    ("training",),
    ("jobs",),
    ("analysis",),
    ("api",),
)
LAYER_OF = {f"s2st.{name}": level for level, names in enumerate(LAYERS) for name in names}
LAYER_OF["s2st_server"] = len(LAYERS)
LAYER_OF["s2st_cli"] = len(LAYERS) + 1
HEAVY = {
    "matplotlib",
    "starlette",
    "torch",
    "uvicorn",
    "sacrebleu",
    "sacremoses",
    "sentencepiece",
    "safetensors",
}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path
    for package in ("s2st", "s2st_server", "s2st_cli")
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}


def part_of(module):
    """s2st.text.line_files -> s2st.text; s2st_cli.main -> s2st_cli."""
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


def run_time_imports(name):
    """As `own_imports`, without those for annotations: a registry names its components' class."""
    unused = type_checking_nodes(TREES[name])
    return {target for target, node in imports(name) if node not in unused}


LAYER_ROOTS = {"s2st", "s2st_server", "s2st_cli"}


def offenders(rule):
    """What `rule(name)` says of all modules; it yields a line for each offence."""
    return [line for name in FILES for line in rule(name)]


def test_a_module_imports_only_from_below_or_its_own_folder():
    def rule(name):
        if name == "s2st":  # it imports on first use, so that `import s2st` is quick
            used = run_time_imports(name) & own_imports(name)
            yield from (f"s2st imports {target}" for target in sorted(used))
            return
        own = part_of(name)
        if own not in LAYER_OF:
            yield f"{name} has no layer: name it in LAYERS"
            return
        for target in sorted(own_imports(name) - {"s2st"}):
            part = part_of(target)
            if part not in LAYER_OF:
                yield f"{target} has no layer"
                continue
            below = LAYER_OF[part] < LAYER_OF[own]
            # options need a process to read their files, and a process has options
            neighbours = part == own or LAYER_OF[own] == LAYER_OF[part] == 0
            if not (below or neighbours):
                yield f"{name} imports {target}"

    assert offenders(rule) == []


def test_there_is_no_import_cycle():
    graph = {name: run_time_imports(name) & set(FILES) for name in FILES}
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


def test_only_the_command_line_imports_click_or_rich():
    def rule(name):
        forbidden = {"pickle", "shelve", "marshal", "dill", "joblib"}
        if not name.startswith("s2st_cli"):
            forbidden |= {"click", "rich"}
        used = {target.split(".")[0] for target, _ in imports(name)}
        yield from (f"{name} imports {target}" for target in sorted(used & forbidden))

    assert offenders(rule) == []


def calls(name):
    """(text of what is called, line)."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_forbidden_calls():
    def rule(name):
        forbidden = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save"}
        if name.split(".")[0] == "s2st":
            forbidden |= {"print", "exit", "quit", "sys.exit", "os._exit"}
        for called, node in calls(name):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            unsafe = called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False"
            if called in forbidden or unsafe:
                yield f"{name}, line {node.lineno}: {called}"

    assert offenders(rule) == []


def test_dropout_is_the_fast_one():
    """torch's own takes several times as long on a CPU."""

    def rule(name):
        for called, node in calls(name):
            if called.endswith(("F.dropout", "nn.Dropout")) and name != "s2st.models.dropout":
                yield f"{name}, line {node.lineno}: {called}"

    assert offenders(rule) == []


def test_all_text_reaches_the_terminal_by_one_module():
    """So that nothing there is obeyed, and what plugins print gets nowhere near the data."""
    writers = {"print", "click.echo", "click.secho", "click.style", "warnings.warn", "input"}
    writers |= {f"sys.{stream}.write" for stream in ("stdout", "stderr")}
    writers |= {"sys.stdout.buffer.write", "sys.stderr.buffer.write", "click.version_option"}
    classes = ("Command", "_Program", "_Analyses", "_Imports")

    def rule(name):
        if not name.startswith("s2st_cli") or name == "s2st_cli.terminal_output":
            return
        for called, node in calls(name):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            plain = called in ("click.command", "click.group") and given.get("cls") not in classes
            if called in writers or plain:
                yield f"{name}, line {node.lineno}: {called}; use s2st_cli.terminal_output"

    assert offenders(rule) == []


def test_nothing_is_swallowed_by_double_star_arguments():
    def rule(name):
        if part_of(name) == "s2st.api":  # keywords are options, which `resolve` checks
            return
        for node in ast.walk(TREES[name]):
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if function and node.args.kwarg is not None:
                yield f"{name}, line {node.lineno}"

    assert offenders(rule) == []


def test_no_module_is_called_helpers():
    rooms = {"utils", "util", "helpers", "misc", "common"}
    assert [name for name in FILES if rooms & set(name.split("."))] == []


def test_the_server_calls_the_python_interface_and_nothing_below_it():
    def rule(name):
        if name.split(".")[0] != "s2st_server":
            return
        allowed = {"s2st", "s2st.errors", "s2st.options.option_fields"}
        for target in sorted(own_imports(name) - allowed):
            if not target.startswith("s2st_server"):
                yield f"{name} imports {target}"

    assert offenders(rule) == []


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


def test_json_is_read_in_one_place():
    """`json.loads` raises RecursionError for text that nests deep; `load_json` does not."""
    for name, tree in TREES.items():
        if name.startswith("s2st.") and name != "s2st.options.option_fields":
            called = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
            assert not called & {"json.loads", "json.load"}, (
                f"{name}: use s2st.options.option_fields.load_json"
            )

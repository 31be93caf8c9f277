"""Options without effect are usage errors that name the missing option; harmless ones pass."""

import click
import pytest

from s2st_cli.main import main
from s2st_cli.option_effects import RULES

SEVERAL = "needs several checkpoints"
GENERATE = "generate {src} --checkpoint {forward}"
SERVE = "serve --checkpoint {forward}"
EXPLAIN = "explain cat --checkpoint {forward}"
TUNE_LENGTH = "tune-length --checkpoint {forward} --source {src} --ref {ref}"
NGRAM = "train-ngram {ref} -o {tmp}/never.arpa"
TEXT = "score {ref} --ref {ref}"
PAIRS = "score --checkpoint {forward} --source {src} --target {ref}"
ATTENTION = "analyze attention --source {src} --checkpoint {forward}"
RESCORE = "rescore-nbest {lists} --source {src} --checkpoint {forward}"
SCORED = "rescore-nbest {scored} --source {src}"
TUNED = "--tune {ref} --dev-nbest {lists} --dev-source {src}"
CURVES = "{ref} --ref {ref} --source {src}"
TRAIN = "train {store} --save-dir {tmp}/never"
# command, the option that has no effect there, what the error says beside it
IDLE = [
    (GENERATE, "--ensemble-weight 1", SEVERAL),
    (GENERATE, "--ensemble-mode log-probability", SEVERAL),
    ("generate {src} --path {forward}", "--ensemble-mode log-probability", SEVERAL),
    (GENERATE, "--length-normalization wu", "needs --lenpen X"),
    *((f"{GENERATE} --search mbr --candidates-from beam", option, "--candidates-from sampling")
      for option in ("--temperature 2", "--top-k 3", "--top-p 0.5", "--sampling-seed 2")),
    (GENERATE, "--shortlist-first 9", "needs --shortlist FILE"),
    (GENERATE, "--shortlist-best 9", "needs --shortlist FILE"),
    (GENERATE, "--shortlist-prune 0.5", "needs --shortlist FILE"),
    *((command, option, part) for command in (SERVE, EXPLAIN) for option, part in (
        ("--ensemble-weight 1", SEVERAL), ("--ensemble-mode log-probability", SEVERAL),
        ("--length-normalization wu", "needs --lenpen X"), ("--nbest 2", "has no effect"))),
    (f"{SERVE} --host 0.0.0.0", "--allow-host mt.example", "needs a loopback --host"),
    (NGRAM, "--add-k 2", "needs --smoothing add-k"),
    (f"{NGRAM} --smoothing none", "--prune 0,1", "needs --smoothing kneser-ney"),
    (f"{NGRAM} --smoothing add-k", "--discount-fallback", "needs --smoothing kneser-ney"),
    (TUNE_LENGTH, "--ensemble-weight 1", SEVERAL),
    (TUNE_LENGTH, "--ensemble-mode log-probability", SEVERAL),
    (TUNE_LENGTH, "--nbest 2", "has no effect"),
    (TUNE_LENGTH, "--lenpen 1", "has no effect"),
    (PAIRS, "--ensemble-weight 1", SEVERAL),
    (PAIRS, "--ensemble-mode probability", SEVERAL),
    (PAIRS, "--next-words 3", "needs --next"),
    (PAIRS, "--tokenize 13a", "needs --ref"),
    (PAIRS, "--lowercase", "needs --ref"),
    (PAIRS, "--ter", "needs --ref"),
    (PAIRS, "--samples 100", "needs --ref"),
    (TEXT, "--samples 100", "needs several HYP"),
    (TEXT, "--precision bfloat16", "needs --checkpoint"),
    (TEXT, "--ensemble-weight 1", SEVERAL),
    (TEXT, "--ensemble-mode probability", SEVERAL),
    (RESCORE, "--folds 3", "needs --tune"),
    (RESCORE, "--tuner mira", "needs --tune"),
    (RESCORE, "--restarts 3", "needs --tune"),
    (RESCORE, "--directions 3", "needs --tune"),
    (RESCORE, "--tuning-seed 3", "needs --tune"),
    (RESCORE, "--length-feature", "add --tune"),
    (f"{RESCORE} --weight Baseline=1", "--length-feature", "--weight S2STLength=X"),
    (f"{RESCORE} --oracle {{ref}}", "--length-feature", "--format nbest"),
    (RESCORE, "--consensus bleu", "--weight S2STConsensus=X"),
    (RESCORE, "--consensus-scale 2", "needs --consensus"),
    (RESCORE, "--metric chrf", "needs --tune REF or --oracle REF"),
    (RESCORE, "--tokenize char", "needs --consensus bleu"),
    (f"{RESCORE} --metric chrf --tune {{ref}}", "--tokenize char", "chrF counts characters"),
    (f"{RESCORE} {TUNED} --consensus chrf --metric chrf", "--tokenize char", "chrF counts"),
    (f"{RESCORE} {TUNED} --tuner pro", "--regularize 1", "--tuner line-search"),
    (RESCORE, "--ensemble-weight 1", SEVERAL),
    (RESCORE, "--ensemble-mode log-probability", SEVERAL),
    (f"{RESCORE} --checkpoint {{gru}} --feature-per member", "--ensemble-mode log-probability",
     "--feature-per ensemble"),
    (f"{RESCORE} --tune {{ref}}", "--oracle {src}", "different references"),
    (RESCORE, "--dev-source {src}", "must be given together"),
    (RESCORE, "--dev-nbest {lists}", "must be given together"),
    (f"{RESCORE} --dev-source {{src}}", "--dev-nbest {lists}", "needs --tune"),
    (SCORED, "--max-rows 5", "needs --checkpoint"),
    (SCORED, "--precision int8", "needs --checkpoint"),
    (TRAIN, "--max-divergences 2", "needs --on-divergence skip or restore"),
    (TRAIN, "--lowercase-embeddings", "needs --source-embeddings"),
    (TRAIN, "--freeze-embeddings", "needs --source-embeddings"),
    (TRAIN, "--extend-vocabulary", "needs --finetune-from"),
    (TRAIN, "--unigram-alpha 0.5", "needs --subword-sampling"),
    (TRAIN, "--bpe-dropout 0.5", "needs --subword-sampling"),
    (TRAIN, "--micro-batches 2", "needs --pipeline-stages"),
    (TRAIN, "--validate-beam 2", "needs --best-checkpoint-metric bleu"),
    (TRAIN, "--bleu-tokenize char", "needs --best-checkpoint-metric bleu"),
    (TRAIN, "--softmax-samples 9", "needs --softmax sampled"),
    (f"{TRAIN} --softmax adaptive", "--softmax-samples 9", "needs --softmax sampled"),
    (TRAIN, "--adaptive-cutoffs 9", "needs --softmax adaptive"),
    (TRAIN, "--init-range 0.1", "needs --init uniform"),
    ("inspect --nwordssrc 9 --nwordstgt 9", "--init-range 0.1", "needs --init uniform"),
    ("inspect --nwordssrc 9 --nwordstgt 9", "--softmax-samples 9", "needs --softmax sampled"),
    ("inspect --nwordssrc 9 --nwordstgt 9", "--adaptive-cutoffs 9", "needs --softmax adaptive"),
    ("inspect {forward}", "--nwordssrc 9", "cannot be combined with PATH"),
    ("inspect {forward}", "--nwordstgt 9", "cannot be combined with PATH"),
    ("inspect {forward}", "--arch gru", "cannot be combined with PATH"),
    ("inspect {forward}", "--layers 3", "cannot be combined with PATH"),
    (f"analyze lengths {CURVES}", "--title T", "needs --figure"),
    (f"analyze rarity {CURVES} --train-source {{src}}", "--title T", "needs --figure"),
    ("analyze gradients {forward} --source {src} --target {ref}", "--title T", "needs --figure"),
    (ATTENTION, "--title T", "needs --figure"),
    (f"{ATTENTION} --target {{ref}}", "--beam 3", "--target"),
    (f"{ATTENTION} --target {{ref}}", "--search greedy", "--target"),
    (ATTENTION, "--nbest 3", "best translation"),
    (ATTENTION, "--ensemble-weight 1", SEVERAL),
    (ATTENTION, "--ensemble-mode probability", SEVERAL),
    ("analyze states {src} --checkpoint {forward}", "--ensemble-mode probability",
     "are concatenated"),
    ("analyze states {src} --checkpoint {forward} --checkpoint {gru}",
     "--ensemble-weight 1 --ensemble-weight 2", "are concatenated"),
    ("analyze states {src} --checkpoint {forward}", "--vectors", "needs --format json"),
    ("analyze vectors {src} --checkpoint {forward}", "--ensemble-mode probability",
     "are concatenated"),
    ("analyze vectors {src} --checkpoint {forward}", "--ensemble-weight 1", "are concatenated"),
    ("analyze neighbours le --vectors {src}", "--side source", "--side"),
    # of a component that is not chosen
    (f"{GENERATE} --search sampling", "--lenpen 1", "needs --search beam or diverse-beam"),
    (GENERATE, "--temperature 3", "needs --search sampling, stochastic-beam or mbr"),
    (GENERATE, "--top-k 3", "needs --search sampling or mbr"),
    (TRAIN, "--momentum 0.9", "--optimizer sgd"),
    (f"{RESCORE} {TUNED}", "--mira-c 1", "--tuner mira"),
]  # fmt: skip
# options that may lie idle: where, how fast, by whom; and defaults that are said aloud
HARMLESS = [
    f"{TEXT} --device cpu --threads 1 --rank-timeout 5",
    f"{TEXT} --format json",
    f"{TEXT} {{src}} --samples 10",
    f"{SCORED} --device cpu --threads 1",
    f"{SCORED} --feature-per ensemble --normalize none --baseline-features total",
    f"{RESCORE} --no-length-feature --threads 1",
    f"{RESCORE} --length-feature --weight S2STLength=1 --threads 1",
    f"{RESCORE} --length-feature --format nbest --threads 1",
    f"{RESCORE} --consensus none --threads 1",
    f"{RESCORE} {TUNED} --metric ter --tokenize char --tuner pro --consensus chrf --threads 1",
    f"{RESCORE} --feature-per member --threads 1",
    f"{RESCORE} --tune {{ref}} --oracle {{ref}} --folds 3 --threads 1",
    f"{RESCORE} {TUNED} --oracle {{ref}} --threads 1",
    f"{RESCORE} --config {{tmp}}/shared.toml --threads 1",
    f"{GENERATE} --checkpoint {{gru}} --ensemble-mode log-probability --threads 1",
    f"{GENERATE} --no-resume --no-replace-unk --threads 1",
    "inspect {forward}",
    "inspect --arch lstm-sutskever2014 --init-range 0.1 --nwordssrc 9 --nwordstgt 9",
    f"analyze lengths {CURVES} --samples 5 --seed 3",
]


@pytest.fixture(scope="module")
def places(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("effects")
    targets = world.target.read_text().split("\n")[:-1]
    lines = [f"{i} ||| {t} ||| LM0= -{i} ||| -1" for i, t in enumerate(targets)]
    lines += [f"{i} ||| {t} . ||| LM0= -{i} ||| -2" for i, t in enumerate(targets)]
    lines.sort(key=lambda line: int(line.split(" ")[0]))
    (folder / "lists").write_text("".join(f"{line}\n" for line in lines))
    scored = [line.replace("LM0=", "Baseline= -1 S2ST0= -3 LM0=") for line in lines]
    (folder / "scored").write_text("".join(f"{line}\n" for line in scored))
    (folder / "shared.toml").write_text("folds = 3\nlength-feature = true\n")
    return {
        "src": world.source, "ref": world.target, "forward": world.forward, "gru": world.gru,
        "store": world.store, "lists": folder / "lists", "scored": folder / "scored",
        "tmp": folder,
    }  # fmt: skip


@pytest.mark.parametrize(("command", "option", "part"), IDLE)
def test_an_option_without_effect_is_a_usage_error(s2st, places, command, option, part):
    words = f"{command} {option}".format(**places).split()
    s2st(*words).check_error(2, option.split()[0], part)


@pytest.mark.parametrize("command", HARMLESS)
def test_harmless_options_stay_harmless(s2st, places, command):
    outcome = s2st(*command.format(**places).split())
    assert outcome.code == 0, outcome.err


def commands(group, context, path=()):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, context, (*path, name))
        else:
            yield (*path, name), command


def test_every_rule_is_of_a_command_and_has_an_example():
    found = dict(commands(main, click.Context(main)))
    assert set(RULES) <= {path[-1] for path in found}
    for path, command in found.items():
        tried = {
            option.split()[0] for text, option, _ in IDLE if text.startswith(" ".join(path) + " ")
        }
        for rule in RULES.get(path[-1], ()):
            for name in rule.options:
                assert f"--{name.replace('_', '-')}" in tried, (path, name)
            if rule.role is not None:
                assert rule.role in [role.name for role in command.spec.roles]
                assert f"--{rule.role}" in tried

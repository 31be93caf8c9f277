"""What is read is one state: links that move and folders that go under a reader's hands."""

import hashlib
import os
import shutil

import pytest
import torch
from rotten import make_run, make_store
from trainers import trainer

from s2st.analysis.frequency_ranks import ranks_of_vocabulary
from s2st.data.store import Store
from s2st.data.user_dictionaries import dictionary_tokenizer, read_dictionary
from s2st.errors import CheckpointError, InputMissingError, S2STError
from s2st.jobs.average_checkpoints import average, average_last
from s2st.jobs.verify_checksums import verify
from s2st.models import model_files
from s2st.models.model_files import load_saved, read_saved
from s2st.models.weight_files import weights_hash
from s2st.ngram import arpa_files
from s2st.process import consistent_reads, durable_files, durable_folders
from s2st.process.consistent_reads import MAX_TRIES, ReplacedError, one_run, steady
from s2st.scoring.load_scorers import fingerprints, load_members
from s2st.scoring.ngram_scorer import NGramScorer
from s2st.text import line_files, vocabulary
from s2st.text.line_files import read_lines
from s2st.training.checkpoint import read_run

CPU = torch.device("cpu")
# what readers call between two looks at the disk
STEPS = [(durable_files, "sha256_of"), (model_files, "load_tensors"),
         (vocabulary.Vocabulary, "load"), (model_files, "check_same"),
         (line_files, "open_input")]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def two(store, tmp_path_factory):
    """Two checkpoints of one training, whose weights differ, by the hash of their weights."""
    folder = tmp_path_factory.mktemp("two")
    make_run(folder, store, (3, 6))
    found = [folder / "checkpoint_0000003", folder / "checkpoint_0000006"]
    hashes = [weights_hash(read_saved(path).load(CPU).state_dict()) for path in found]
    assert len(set(hashes)) == 2
    return dict(zip(hashes, found, strict=True))


class Meddler:
    """Does something just before the n-th step of a reader; `count` says how many there were."""

    def __init__(self, monkeypatch, number, deed):
        self.count, self.number, self.deed = 0, number, deed
        for owner, name in STEPS:
            own = getattr(owner, name)
            monkeypatch.setattr(owner, name, self.wrapped(own))

    def wrapped(self, own):
        def call(*arguments, **named):
            self.count += 1
            if self.count == self.number:
                self.deed()
            return own(*arguments, **named)

        return call


def every_step(monkeypatch, prepare, read, deed, least=3):
    """Reads again and again, each time meddled with one step later, until no step is left."""
    number = 0
    while True:
        number += 1
        prepared = prepare(number)
        with monkeypatch.context() as patch:
            meddler = Meddler(patch, number, lambda: deed(prepared))  # noqa: B023
            with one_run():
                yield read(prepared)
        if meddler.count < number:
            break
    assert number > least


def test_a_fingerprint_is_of_the_weights_that_were_loaded(two, tmp_path, monkeypatch):
    """Issue 14: a link moves between two checkpoints at any moment, before or after."""
    paths = list(two.values())

    def prepare(number):
        link = tmp_path / f"link-{number}"
        os.symlink(paths[0], link)
        return link

    def move(link):
        durable_files.remove_file(link)
        os.symlink(paths[1], link)

    def loaded_first(link):
        (scorer,) = load_members([str(link)], CPU, "float32")
        return scorer, fingerprints([str(link)])

    def fingerprint_first(link):
        known = fingerprints([str(link)])
        (scorer,) = load_members([str(link)], CPU, "float32")
        assert fingerprints([str(link)]) == known
        return scorer, known

    for read in (loaded_first, fingerprint_first):
        seen = set()
        for scorer, (fingerprint,) in every_step(monkeypatch, prepare, read, move):
            path = two[weights_hash(scorer.model.state_dict())]
            assert fingerprint == durable_files.sha256_of(path / "manifest.json")
            seen.add(path)
        assert seen  # whichever it was
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


READERS = {
    "read_saved": read_saved,
    "load_saved": lambda path: load_saved(path, CPU, whole=True),
    "read_run": read_run,
    "verify": verify,
    "load_members": lambda path: load_members([str(path)], CPU, "float32"),
    "fingerprints": lambda path: fingerprints([str(path)]),
    "dictionary": lambda path: read_dictionary(str(path), "en"),
    "ranks": lambda path: ranks_of_vocabulary(str(path)),
    "average": lambda path: average([str(path)], (), f"{path}-mean"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(
    store, tmp_path, monkeypatch, reader
):
    """At every step in turn, a training saves the next checkpoint and removes this one."""

    def prepare(number):
        make_run(tmp_path / str(number), store, (3,))
        return tmp_path / str(number) / "checkpoint_best"

    def save_next(link):
        shutil.copytree(link.parent / "checkpoint_0000003", link.parent / "checkpoint_0000004")
        durable_files.point_link(link, "checkpoint_0000004")
        durable_folders.retire_folder(link.parent / "checkpoint_0000003")

    results = list(every_step(monkeypatch, prepare, READERS[reader], save_next, least=1))
    assert len(results) > 1


def test_a_folder_that_takes_the_place_of_one_of_its_name_is_read_whole(two, tmp_path, monkeypatch):
    """The same update saved twice: another folder of that name, in the midst of a reading."""
    first, second = two.values()

    def prepare(number):
        shutil.copytree(first, tmp_path / str(number) / "c")
        shutil.copytree(second, tmp_path / str(number) / "other")
        return tmp_path / str(number) / "c"

    def replace(folder):
        durable_folders.retire_folder(folder)
        os.rename(folder.parent / "other", folder)

    for record, model in every_step(
        monkeypatch, prepare, lambda folder: load_saved(folder, CPU), replace
    ):
        path = two[weights_hash(model.state_dict())]
        assert record.digest == durable_files.sha256_of(path / "manifest.json")


def test_a_numbered_folder_that_is_removed_says_so(two, tmp_path, monkeypatch):
    shutil.copytree(next(iter(two.values())), tmp_path / "c")
    Meddler(monkeypatch, 3, lambda: durable_folders.retire_folder(tmp_path / "c"))
    with pytest.raises(InputMissingError, match="no such checkpoint folder"):
        load_saved(tmp_path / "c", CPU)


def test_the_last_checkpoints_of_a_training_that_goes_on_are_averaged(store, tmp_path, monkeypatch):
    def prepare(number):
        make_run(tmp_path / str(number), store, (3, 4))
        return tmp_path / str(number)

    def save_next(folder):
        shutil.copytree(folder / "checkpoint_0000004", folder / "checkpoint_0000005")
        durable_folders.retire_folder(folder / "checkpoint_0000003")

    def read(folder):
        average_last(str(folder), 2, (), str(folder / "mean"))
        facts = read_saved(folder / "mean").summary["mean_of"]
        return [fact["checkpoint"][-1] for fact in facts]

    found = [tuple(one) for one in every_step(monkeypatch, prepare, read, save_next)]
    assert set(found) == {("3", "4"), ("4", "5")}


def test_an_end_to_reading_again(two, tmp_path):
    """A folder that changes whenever it is read is an error in the end, not a loop."""
    path, tries = tmp_path / "c", []
    shutil.copytree(next(iter(two.values())), path)

    def read(place):
        tries.append(place)
        os.utime(place / "manifest.json", ns=(len(tries), len(tries)))
        raise CheckpointError("damaged")

    with pytest.raises(ReplacedError, match="run the command again"):
        steady(path, read)
    assert len(tries) == MAX_TRIES


def test_damage_is_told_at_once(two, tmp_path):
    path, tries = tmp_path / "c", []
    shutil.copytree(next(iter(two.values())), path)

    def read(place):
        tries.append(place)
        raise CheckpointError("damaged")

    with pytest.raises(CheckpointError, match="damaged"):
        steady(path, read)
    assert len(tries) == 1


def test_within_a_run_a_pinned_path_names_one_folder(two, tmp_path):
    first, second = two.values()
    link = tmp_path / "link"
    os.symlink(first, link)
    with one_run():
        before = fingerprints([str(link)])
        durable_files.remove_file(link)
        os.symlink(second, link)
        (scorer,) = load_members([str(link)], CPU, "float32")
        assert two[weights_hash(scorer.model.state_dict())] == first
        assert fingerprints([str(link)]) == before
    assert fingerprints([str(link)]) != before  # another command


def test_a_pinned_folder_that_is_gone_is_an_error(two, tmp_path):
    shutil.copytree(next(iter(two.values())), tmp_path / "c")
    with one_run():
        fingerprints([str(tmp_path / "c")])
        durable_folders.retire_folder(tmp_path / "c")
        with pytest.raises(ReplacedError, match="replaced or removed"):
            load_members([str(tmp_path / "c")], CPU, "float32")


def test_a_file_that_is_read_twice_must_be_the_same(tmp_path):
    path = tmp_path / "x"
    path.write_text("a\n")
    with one_run():
        assert list(read_lines(path)) == list(read_lines(path)) == ["a"]
        path.write_text("b b\n")
        with pytest.raises(ReplacedError, match=r"x: changed while the command ran"):
            list(read_lines(path))
    with one_run():
        assert list(read_lines(path)) == ["b b"]
    path.write_text("c\n")
    assert list(read_lines(path)) == ["c"]  # outside of a command nobody keeps count


@pytest.mark.parametrize("in_between", ["fingerprint", "load"])
def test_an_arpa_file_has_the_fingerprint_of_what_was_loaded(tmp_path, in_between):
    from ngram_models import KneserNey, random_text

    path = tmp_path / "m.arpa"
    path.write_text(KneserNey(random_text(20, 9), 2).arpa())
    with one_run():
        if in_between == "load":
            before = fingerprints([str(path)])
            assert before == [hashlib.sha256(path.read_bytes()).hexdigest()]
            load_members([str(path)], CPU, "float32")
        else:
            load_members([str(path)], CPU, "float32")
        path.write_text(KneserNey(random_text(30, 9), 2).arpa())
        late = load_members if in_between == "load" else fingerprints
        with pytest.raises(ReplacedError):
            late([str(path)], *([CPU, "float32"] if in_between == "load" else []))


def test_kenlm_and_the_tables_read_one_file(tmp_path, monkeypatch):
    """The tables are read late, when kenlm has read the file already."""
    from ngram_models import KneserNey, random_text

    from s2st.scoring import ngram_scorer

    path = tmp_path / "m.arpa"
    path.write_text(KneserNey(random_text(20, 9), 2).arpa())
    monkeypatch.setattr(ngram_scorer, "kenlm_model", lambda path: object())
    model = NGramScorer(path)
    model._orders  # noqa: B018
    model = NGramScorer(path)
    path.write_text(KneserNey(random_text(30, 9), 2).arpa())
    with pytest.raises(ReplacedError):
        model._orders  # noqa: B018


def test_a_store_whose_place_is_taken_is_not_mixed(store, tmp_path):
    shutil.copytree(store, tmp_path / "s")
    opened = Store(tmp_path / "s")
    durable_folders.retire_folder(tmp_path / "s")
    shutil.copytree(store, tmp_path / "s", copy_function=shutil.copyfile)
    with pytest.raises(ReplacedError):
        opened.split("train")
    with pytest.raises(ReplacedError):
        opened.verify()


def test_a_dictionarys_words_and_tokenizer_come_from_one_folder(two, tmp_path):
    first, second = two.values()
    link = tmp_path / "link"
    os.symlink(first, link)
    with one_run():
        spec = dictionary_tokenizer(str(link), "fr")
        durable_files.remove_file(link)
        os.symlink(second, link)
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
        assert read_dictionary(str(link), "fr")[0] is spec


def test_the_trainings_own_folder_is_never_pinned(tmp_path):
    with one_run():
        run = trainer(tmp_path, save_interval_updates=1, keep_last=1)
        run.train()
        for _ in range(2):
            assert run.folder.resume().state.update == 12


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_link_without_its_folder_says_so(two, tmp_path, read):
    """Issue 14: `cp -r model/checkpoint_best elsewhere` copies the link alone."""
    os.symlink("checkpoint_0000006", tmp_path / "checkpoint_best")
    with pytest.raises(S2STError, match=r"a link to 'checkpoint_0000006', which is not there") as e:
        read(tmp_path / "checkpoint_best")
    assert "cp -rL" in str(e.value)
    assert "\n" not in str(e.value)


def test_other_inputs_that_are_links_to_nothing_say_so(tmp_path):
    link = tmp_path / "x.arpa"
    os.symlink("none", link)
    for read in (lambda: list(read_lines(link)), lambda: arpa_files.read_arpa(link),
                 lambda: Store(link), lambda: fingerprints([str(link)])):  # fmt: skip
        with pytest.raises(InputMissingError, match=r"a link to 'none', which is not there"):
            read()


def test_a_run_within_a_run_has_its_own_view():
    with one_run():
        consistent_reads.remember("kind", "path", 1)
        with one_run():
            assert consistent_reads.once("kind", "path", lambda: 2) == 2
        assert consistent_reads.once("kind", "path", lambda: 3) == 1

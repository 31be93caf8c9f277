"""Reading of a folder with a model of another program: JSON files and safetensors, no pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from s2st.errors import CheckpointError, DataError, InputMissingError
from s2st.models.weight_files import load_tensors
from s2st.options.option_fields import load_json
from s2st.process.bounded_read import read_bounded

CONVERT = "first convert the checkpoint with the script in docs/other-toolkits.md"
MAX_JSON = 1 << 26  # bytes; a vocabulary of a million words has about 20 MB
PICKLED = ("pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json")


class ForeignFolder:
    """A folder with a model of another program.

    Attributes:
        path: as the user names it.
        remedy: what to do if a file is missing, for messages; "" for nothing.
    """

    def __init__(self, path: str | Path, remedy: str = "") -> None:
        self.path = Path(path)
        self.remedy = f"; {remedy}" if remedy else ""
        if self.path.is_file():
            raise InputMissingError(f"{path}: a file, not a folder{self.remedy}")
        if not self.path.is_dir():
            raise InputMissingError(f"{path}: no such folder{self.remedy}")

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON object.

        Raises:
            InputMissingError: there is no such file.
            DataError: it is no JSON object.
        """
        path = self.path / name
        if not path.exists():
            raise InputMissingError(f"{path}: no such file{self.remedy}")
        try:
            found = load_json(read_bounded(path, MAX_JSON, "a JSON file"))
        except ValueError as error:
            raise DataError(f"{path}: not JSON: {' '.join(str(error).split())[:200]}") from error
        if not isinstance(found, dict):
            raise DataError(f"{path}: not a JSON object")
        return found

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Read a safetensors file, as float32.

        Raises:
            InputMissingError: there is no such file, perhaps because the weights are pickled.
            CheckpointError: it is damaged.
        """
        path = self.path / name
        if name not in self:
            pickled = next((other for other in PICKLED if other in self), None)
            if pickled is None:
                raise InputMissingError(f"{path}: no such file{self.remedy}")
            raise InputMissingError(
                f"{path}: no such file; s2st does not load {pickled}, which is pickled: save the "
                "model as safetensors (save_pretrained of the package transformers does)"
            )
        return {key: tensor.float() for key, tensor in load_tensors(path).items()}


def take(tensors: Mapping[str, torch.Tensor], name: str, where: str) -> torch.Tensor:
    """Return a tensor; raise CheckpointError if it is missing."""
    if name not in tensors:
        raise CheckpointError(f"there is no tensor {name}", where)
    return tensors[name]


def integer(fields: Mapping[str, Any], name: str, folder: ForeignFolder) -> int:
    """Return a whole number of config.json; raise DataError for anything else."""
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{folder.path}/config.json: {name} is {value!r}, not a whole number")
    return value


def text_of(value: Any) -> str:
    """Return a text; "" for anything else."""
    return value if isinstance(value, str) else ""

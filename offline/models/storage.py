"""A saved model on disk: one safetensors file named after its checksum, and `model.json`, which points to it.

`model.json` is replaced in one step and last, so a reader finds the old model or the new one and never a mixture, and
a save killed half-way leaves the old one. Nothing is pickled.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from scipy import sparse

from offline.interactions import Ids, id_array
from shared.errors import ModelError
from shared.whole_files import write_whole

FORMAT_VERSION = 1
MANIFEST = "model.json"
_LENGTHS, _COLUMNS, _VALUES = ".lengths", ".columns", ".values"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `model.json` says."""

    format: int
    model: str  # its name in the registry
    settings: dict[str, Any]
    tensors: str  # file name, beside model.json
    sha256: str  # of that file


def write(folder: str | Path, model: str, settings: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Save arrays and settings, in place of what the folder holds."""
    folder = Path(folder)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # safetensors copies raw memory
    blob = save_tensors(contiguous)
    digest = hashlib.sha256(blob).hexdigest()
    tensors = f"tensors-{digest[:16]}.safetensors"
    manifest = Manifest(format=FORMAT_VERSION, model=model, settings=settings, tensors=tensors, sha256=digest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / tensors, blob)
        write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        for file in folder.glob("tensors-*.safetensors"):
            if file.name != tensors:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"{folder}: the model cannot be saved ({error})") from None


def read_manifest(folder: str | Path) -> Manifest:
    """Read `model.json` alone.

    Raises
    ------
    ModelError : it is missing, not readable, or of another format version.
    """
    path = Path(folder) / MANIFEST
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=dict[str, Any]).get("format")
        if version != FORMAT_VERSION:
            raise ModelError(f"{path}: the format version is {version!r}; this code reads version {FORMAT_VERSION}")
        return msgspec.json.decode(text, type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{folder}: no saved model there; expected a folder with {MANIFEST}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from None


def read(folder: str | Path) -> tuple[Manifest, dict[str, npt.NDArray[Any]]]:
    """Read a saved model and verify its checksum.

    Raises
    ------
    ModelError : as `read_manifest`; the tensors are missing, or differ from the checksum.
    """
    manifest = read_manifest(folder)
    path = Path(folder) / manifest.tensors
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model's tensors cannot be read ({error.strerror})") from None
    digest = hashlib.sha256(blob).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(f"{path}: damaged: its checksum is {digest[:16]}…, {MANIFEST} says {manifest.sha256[:16]}…")
    try:
        return manifest, load_tensors(blob)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error})") from None


def remove_member(folder: str | Path, member_id: str) -> bool:
    """Take a member out of a saved model: the id, and the row of every array or of packed rows whose name begins with `member_`.

    Arrays of a part of a model are named `part/…`; what stands behind the last stroke counts.

    Returns
    -------
    Whether the member was in it.
    """
    manifest, arrays = read(folder)
    ids = unpack_ids("member_ids", arrays)
    rows = np.flatnonzero(ids == member_id)
    if not rows.size:
        return False
    kept = {
        name: np.delete(array, rows, axis=0) if _is_by_member(name) and len(array) == len(ids) else array
        for name, array in arrays.items()
        if not name.startswith("member_ids.")
    }
    for name, lengths in arrays.items():
        if _is_by_member(name) and name.endswith(_LENGTHS):
            gone = np.flatnonzero(np.repeat(np.arange(len(lengths)) == rows[0], lengths))
            for part in (name.removesuffix(_LENGTHS) + end for end in (_COLUMNS, _VALUES)):
                kept[part] = np.delete(arrays[part], gone)
    write(folder, manifest.model, manifest.settings, {**kept, **pack_ids("member_ids", np.delete(ids, rows))})
    return True


def _is_by_member(name: str) -> bool:
    return name.rpartition("/")[2].startswith("member_")


def pack_ids(name: str, ids: Ids) -> dict[str, npt.NDArray[Any]]:
    """Ids as two arrays: their UTF-8 bytes on end, and where each one ends. JSON would be several times the size."""
    encoded = [str(one).encode() for one in ids]
    ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def unpack_ids(name: str, arrays: dict[str, npt.NDArray[Any]]) -> Ids:
    """Inverse of `pack_ids`."""
    text = arrays[f"{name}.bytes"].tobytes()
    ends = arrays[f"{name}.ends"].tolist()
    return id_array([text[start:end].decode() for start, end in zip([0, *ends][:-1], ends, strict=True)])


def pack_rows(name: str, matrix: sparse.csr_array[np.float32]) -> dict[str, npt.NDArray[Any]]:
    """A CSR matrix as three arrays: each row's length, and on end the columns and the values of its entries."""
    columns = matrix.indices.astype(np.int32)
    return {name + _LENGTHS: np.diff(matrix.indptr).astype(np.int64), name + _COLUMNS: columns, name + _VALUES: matrix.data}


def unpack_rows(name: str, arrays: dict[str, npt.NDArray[Any]], width: int) -> sparse.csr_array[np.float32]:
    """Inverse of `pack_rows`, for rows of `width` columns."""
    lengths = arrays[name + _LENGTHS]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((arrays[name + _VALUES], arrays[name + _COLUMNS], starts), shape=(len(lengths), width))

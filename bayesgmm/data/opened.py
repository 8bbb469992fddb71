"""The content of a file, unpacked where it is compressed, and what kind of table it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from os import PathLike
from pathlib import Path
from typing import Literal

from bayesgmm.errors import InputError

__all__ = ["Kind", "decoded", "unpacked"]

type Kind = Literal["text", "xlsx", "parquet"]

_UNPACK = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\0": lzma.decompress}
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def unpacked(path: str | PathLike[str]) -> tuple[bytes, Kind]:
    """The content of a file and its kind, which its first bytes tell.

    Raises
    ------
    InputError
        No such file, a directory, damaged, or a kind that is not read.
    """
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{path} is a directory: give the path of a CSV file.")
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from error
    for start, unpack in _UNPACK.items():
        if content.startswith(start):
            try:
                content = unpack(content)
            except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
                raise InputError(f"{path}: cannot be unpacked ({error}); compress the table again.") from error
    if content.startswith(_OLD_EXCEL):
        raise InputError(f"{path}: an Excel file of the old format (.xls); save the table as .xlsx or as CSV.")
    if content.startswith(b"PAR1"):
        return content, "parquet"
    if content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content)):
        return _of_archive(content, path)
    return content, "text"


def _of_archive(content: bytes, path: str | PathLike[str]) -> tuple[bytes, Kind]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
        if "xl/workbook.xml" in names:
            return content, "xlsx"
        if len(names) != 1:
            raise InputError(f"{path}: an archive of {len(names)} files; unpack it and give one of them.")
        try:
            return archive.read(names[0]), "text"
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise InputError(f"{path}: cannot be unpacked ({error}); give the file within it.") from error


def decoded(content: bytes, path: str | PathLike[str]) -> str:
    """Text in UTF-8, UTF-16 with a byte order mark, or else Windows-1252, the code page of older spreadsheets.

    >>> decoded("größe".encode("cp1252"), "table.csv")
    'größe'
    """
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"{path}: not a text file in UTF-8, UTF-16 or Windows-1252; save the table as CSV in UTF-8.")

"""Where compiled code is kept: Numba's cache on disk, of which no fault ends a run.

Numba looks for a folder that can be written to: ``NUMBA_CACHE_DIR``, the package's own, the home directory's. Here a
folder for temporary files follows, if nobody else can write to it, since what is kept is code. Where there is none,
code that was compiled when the package could be written to, as in a container's image, is still read.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import warnings
from collections.abc import Callable
from typing import Any

from numba import config
from numba.core.caching import CacheImpl, CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, InTreeCacheLocator

from bayesgmm.kernels.folders import private_folder

__all__ = ["KernelCache"]

_HOW = "set NUMBA_CACHE_DIR to a folder that can be written to."


class _Files(IndexDataCacheFile):
    """Index and code, each code under a name of its own.

    Numba numbers them, so that what two processes write at once, or an older version of the source has left, could be
    taken for one another.
    """

    def save(self, key: Any, data: Any) -> None:
        name = hashlib.sha256(repr((self._source_stamp, key)).encode()).hexdigest()[:16]
        name = f"{self._index_name.removesuffix('.nbi')}.{name}.nbc"
        self._save_data(name, data)
        try:
            index = self._load_index()
        except OSError:
            raise
        except Exception:  # it is damaged
            index = {}
        self._save_index(index | {key: name})


class _Temporary(InTreeCacheLocator):
    """In a folder for temporary files."""

    def __init__(self, function: Callable[..., Any], path: str) -> None:
        super().__init__(function, path)
        self._cache_path = os.path.join(private_folder() or "", self.get_suitable_cache_subpath(path))

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> Any:
        return super().from_function(function, path) if private_folder() else None


class _AsItIs(InTreeCacheLocator):
    """In the package, where it cannot be written to."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> Any:
        return cls(function, path)


class _Places(CompileResultCacheImpl):
    _locator_classes = (*CacheImpl._locator_classes, _Temporary, _AsItIs)


class KernelCache(FunctionCache):
    """The compiled versions of one function.

    What cannot be read is compiled anew. What cannot be written is said, once.
    """

    _impl_class = _Places

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        name, stamp = self._impl.filename_base, self._impl.locator.get_source_stamp()
        self.folders = [self._cache_path]  # the first is written to
        package = InTreeCacheLocator(function, inspect.getfile(function)).get_cache_path()
        if not config.CACHE_DIR and package not in self.folders:  # who names a folder means that one
            self.folders.append(package)
        self._files = [_Files(folder, name, stamp) for folder in self.folders]
        self._cache_file = self._files[0]

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for these types, if one of the folders has it."""
        target_context.refresh()
        key = self._index_key(sig, target_context.codegen())
        for files in self._files:
            try:
                data = files.load(key)
                if data is not None:
                    return self._impl.rebuild(target_context, data)
            except Exception:  # cut short, of another make, or not ours to read
                continue
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, and say where that is if it is not where one would look, or why it cannot be kept."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _say(f"compiled kernels cannot be kept in {self._cache_path} ({error.strerror}): {_HOW}")
        else:
            if isinstance(self._impl.locator, _Temporary):
                _say(f"compiled kernels are kept in {private_folder()}, for want of another place: {_HOW}")


_said: list[str] = []


def _say(sentence: str) -> None:
    if not _said:
        _said.append(sentence)
        warnings.warn(sentence, UserWarning, stacklevel=3)

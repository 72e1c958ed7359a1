"""Files under one base URI: a local folder, or any file system that pyarrow or fsspec supports (s3://, gs://, ...).

Only the operations that the stores need. A file appears whole or not at all: on a local disk by a temporary name, fsync
and rename; in an object store because a put is atomic.
"""

import contextlib
import errno
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Any

from cachewarm_client.urls import redact_url

from cachewarm_pipeline.errors import ConfigurationError


class Folder:
    """File operations under ``uri``. Names are relative and use ``/``. Operations raise OSError, untranslated."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """(pyarrow file system, path in it). Raises ConfigurationError for a URI that neither pyarrow nor fsspec can
        open."""
        import pyarrow as pa
        from pyarrow import fs

        if "://" not in self._uri:
            return fs.LocalFileSystem(), os.path.abspath(self._uri)
        try:
            filesystem, path = fs.FileSystem.from_uri(self._uri)
            return filesystem, path.rstrip("/")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # not a file system of pyarrow's own
        import fsspec

        try:
            other, path = fsspec.core.url_to_fs(self._uri)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(
                f"cannot open {redact_url(self._uri)}: {str(error).splitlines()[0]}; check CACHEWARM_DATASET_URL"
            ) from None
        return fs.PyFileSystem(fs.FSSpecHandler(other)), path.rstrip("/")

    @property
    def _local(self) -> bool:
        return bool(self._opened[0].type_name == "local")

    def _path(self, name: str) -> str:
        return f"{self._opened[1]}/{name}" if name else self._opened[1]

    def show(self, name: str = "") -> str:
        """The full name of a file, without secrets, for messages."""
        if "://" not in self._uri:
            return self._path(name)
        base = redact_url(self._uri).rstrip("/")
        return f"{base}/{name}" if name else base

    def open(self, name: str) -> Any:
        """A seekable ``pyarrow.NativeFile`` for reading; use it in a ``with`` statement."""
        return self._opened[0].open_input_file(self._path(name))

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        from pyarrow import fs

        return bool(self._opened[0].get_file_info(self._path(name)).type == fs.FileType.File)

    def names(self, sub: str = "") -> list[str]:
        """Names of the files directly under the folder ``sub``, sorted; empty where the folder does not exist."""
        from pyarrow import fs

        found = self._opened[0].get_file_info(fs.FileSelector(self._path(sub), allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def write(self, name: str, data: Any) -> None:
        """Write ``data`` (anything with the buffer protocol) to the file atomically, replacing an earlier one."""
        if not self._local:
            with self._opened[0].open_output_stream(self._path(name)) as stream:
                stream.write(data)
            return
        target = Path(self._path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # without it, a power cut can leave the new name without content
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def delete(self, name: str) -> None:
        """Delete the file. It is not an error if another process has deleted it first."""
        with contextlib.suppress(FileNotFoundError):
            self._opened[0].delete_file(self._path(name))


def below(uri: str, name: str) -> str:
    """URI of a folder in the folder ``uri``. The name goes before the options of an object store:
    s3://bucket/folder/name?endpoint_override=..."""
    base, mark, options = uri.partition("?") if "://" in uri else (uri, "", "")
    return f"{base.rstrip('/')}/{name}{mark}{options}"


def reason_of(error: BaseException) -> str:
    """The reason of a failed file operation in a few words, for messages."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there" if number != errno.EROFS else "the file system is read-only"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:200]

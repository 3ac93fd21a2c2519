"""Files in a folder: for one machine, or for several that share a file system."""

import asyncio
import os
from pathlib import Path

from app.gateways.errors import ProviderUnavailable
from app.gateways.files.protocol import StoredFileMissing, checked_key

NAME = "file folder"


class FolderStore:
    """A `FileStore` that writes each file beside its place and moves it there whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        await asyncio.to_thread(self._put, self._path(key), content)

    async def get(self, key: str) -> bytes:
        return await asyncio.to_thread(self._get, self._path(key))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, self._path(key))

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)

    def _put(self, path: Path, content: bytes) -> None:
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            # Nobody else's account on the machine may read it.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(part, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
        except OSError as error:  # a full disk, a folder that is not ours to write
            raise ProviderUnavailable(type(error).__name__, provider=NAME) from error

    def _get(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise StoredFileMissing from None
        except OSError as error:
            raise ProviderUnavailable(type(error).__name__, provider=NAME) from error

    def _delete(self, path: Path) -> None:
        try:
            path.with_suffix(".part").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ProviderUnavailable(type(error).__name__, provider=NAME) from error


def _sync_folder(folder: Path) -> None:
    """Have the disk hold the folder's new entry, too: without it a crash can lose the name."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

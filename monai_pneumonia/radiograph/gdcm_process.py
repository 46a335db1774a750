"""GDCM in a process of its own: over damaged streams it does not always raise an error, but may end the process that it runs in.

Run as a script, this file is that process; so it imports nothing of the package.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_LONGEST_SECONDS = 120


def decode_by_gdcm(stream: bytes, image: Mapping[str, object]) -> bytes:
    """Decodes a compressed frame.

    Args:
        stream: the frame.
        image: ``syntax`` (UID), ``photometric``, and the numbers ``rows``, ``columns``, ``samples``, ``allocated``, ``stored``, ``signed``.

    Returns:
        the samples, pixel by pixel, in the machine's byte order and of the allocated width.

    Raises:
        RuntimeError: GDCM cannot decode it, takes too long, or ended its process.
        MemoryError: the system killed its process, for it took more memory than there is.
    """
    # Without the folder of this file, where modules lie that are called as some of the standard library's.
    path = [str(Path(place).absolute()) for place in sys.path if place]
    order = json.dumps({**image, "path": path, "seconds": math.ceil(_LONGEST_SECONDS)})
    command = [sys.executable, "-I", __file__, order]
    try:
        run = subprocess.run(
            command,
            input=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_SECONDS,
            check=False,
            # Ctrl-C reaches all processes of a session's foreground: the caller alone decides whether it ends.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"GDCM did not end within {_LONGEST_SECONDS} s") from None
    if run.returncode == -signal.SIGKILL:
        raise MemoryError("GDCM was killed, as Linux does where memory runs out")
    if run.returncode:
        raise RuntimeError(f"GDCM cannot decode the stream (its process ended with {run.returncode})")
    return run.stdout


def _decode(stream: bytes, order: Mapping[str, object]) -> bytes:
    import gdcm  # type: ignore[import-untyped]

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((order["columns"], order["rows"], 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(order["photometric"])))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(order["syntax"])))
    allocated, stored = order["allocated"], order["stored"]
    image.SetPixelFormat(gdcm.PixelFormat(order["samples"], allocated, stored, stored - 1, order["signed"]))  # type: ignore[operator]
    # GDCM's Python binding hands bytes over as a string.
    return bytes(image.GetBuffer().encode("utf-8", "surrogateescape"))


def _main() -> None:
    order = json.loads(sys.argv[1])
    # Should the caller be killed, nobody else ends this process.
    signal.alarm(order["seconds"])
    sys.path.extend(place for place in order["path"] if place not in sys.path)
    # GDCM prints what it thinks of a stream.
    answer = os.dup(1)
    os.dup2(2, 1)
    decoded = _decode(sys.stdin.buffer.read(), order)
    with os.fdopen(answer, "wb") as output:
        output.write(decoded)


if __name__ == "__main__":
    _main()

"""Law 7: parse(build(spec)) = spec; equal specifications give equal bytes; the checksum is zero."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom.abi import Generation
from rom.build import RomSpec, build, standard
from rom.parse import parse

ROOT = Path(__file__).parents[2]
_NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=255)
_CHUNKS = st.integers(20, 127)
_PAGES = st.integers(0, (1 << 20) - 1)

SPECS = st.one_of(
    st.builds(
        RomSpec,
        st.just(Generation.V3),
        virtual_top=_PAGES.map(lambda page: page << 12),
        license=_NAMES,
        manufacturer=_NAMES,
        product=_NAMES,
        chunks=_CHUNKS,
    ),
    st.builds(RomSpec, st.just(Generation.V13), manufacturer=_NAMES, product=_NAMES, chunks=_CHUNKS),
)


@given(SPECS)
def test_parse_undoes_build(spec: RomSpec) -> None:
    rom = parse(build(spec))
    assert rom.spec == spec
    assert rom.errors == ()
    assert all(entry.trap for entry in rom.entry_points)


@given(SPECS)
def test_bytes_are_a_function_of_the_specification(spec: RomSpec) -> None:
    again = RomSpec(spec.generation, spec.virtual_top, spec.license, spec.manufacturer, spec.product, spec.chunks)
    assert build(spec) == build(again)


@given(SPECS, st.binary(max_size=64))
def test_the_checksum_covers_exactly_the_rom(spec: RomSpec, behind: bytes) -> None:
    image = build(spec)
    assert len(image) == spec.chunks * 512 == image[2] * 512
    assert sum(image) & 0xFF == 0
    assert parse(image + behind) == parse(image)


@pytest.mark.parametrize("generation", list(Generation))
def test_another_process_builds_the_same_bytes(generation: Generation) -> None:
    script = (
        "import hashlib, rom.abi, rom.build\n"
        f"spec = rom.build.standard(rom.abi.Generation({int(generation)}))\n"
        "print(hashlib.sha256(rom.build.build(spec)).hexdigest())"
    )
    command = [sys.executable, "-c", script]
    there = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "1"}
    )
    assert there.stdout.strip() == hashlib.sha256(build(standard(generation))).hexdigest()

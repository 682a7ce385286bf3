"""`pvtrace rom`: what it writes, what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pvtrace.cli.main import main
from pvtrace.cli.rom import rom
from pvtrace.model.errors import InputError
from rom.abi import Generation
from rom.build import build, standard

V3 = build(standard(Generation.V3))
V13 = build(standard(Generation.V13))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(rom, [str(argument) for argument in arguments])


def output(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*arguments: str | Path) -> str:
    """The sentence about a bad file."""
    error = run(*arguments).exception
    assert isinstance(error, InputError)
    assert error.exit_code == 3
    assert "\n" not in str(error)
    return str(error)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "vmi.rom"
    path.write_bytes(V3)
    return path


def test_build_writes_the_standard_roms(tmp_path: Path) -> None:
    for vmi, wanted in (("3.0", V3), ("13.3", V13)):
        path = tmp_path / vmi
        text = output("build", "--vmi", vmi, "-o", path)
        assert path.read_bytes() == wanted
        assert text.startswith(f"{path}: VMI {vmi} ROM, 8,192 bytes")


def test_build_names_the_file_by_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output("build")
    assert Path("vmi-3.0.rom").read_bytes() == V3
    assert output("build", "-q", "--vmi", "13.3") == ""
    assert Path("vmi-13.3.rom").read_bytes() == V13


def test_build_sets_virtual_top(tmp_path: Path) -> None:
    path = tmp_path / "rom"
    output("build", "--virtual-top", "0xF8000000", "-o", path)
    assert path.read_bytes()[16:20] == b"\x00\x00\x00\xf8"


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "--vmi", "2.5"],
        ["build", "--virtual-top", "high"],
        ["build", "--virtual-top", "0xFC000123"],
        ["build", "--vmi", "13.3", "--virtual-top", "0xF8000000"],
        ["inspect"],
        ["scan", "memory", "--base", "-1"],
        ["burn"],
    ],
)
def test_bad_usage(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_inspect_prints_fields_entry_points_and_the_verdict(image: Path) -> None:
    text = output("inspect", image)
    assert "0010   4  virtual_top        FC000000h" in text
    assert '"GPL"' in text
    assert "0080 128  Init" in text
    assert "Virtual IF := bit 9 of mask" in text
    assert text.endswith("nothing is wrong\n")


def test_inspect_prints_what_is_wrong_and_fails(image: Path) -> None:
    image.write_bytes(V3[:0x300] + b"\x00" + V3[0x301:])
    result = run("inspect", image)
    assert "error: checksum: the 8192 bytes add up to F1h, not to 0" in result.output
    assert "is a bad ROM: checksum" in refusal("inspect", image)


def test_inspect_does_not_fail_for_warnings(image: Path) -> None:
    image.write_bytes(V3.replace(b"GPL\0", b"GQK\0"))
    assert "warning: license is 'GQK'" in output("inspect", image)


def test_inspect_escapes_strings(image: Path) -> None:
    image.write_bytes(V3.replace(b"pvtrace VMI", b"\x1b[31m\x07 VMI"))
    assert "\x1b" not in run("inspect", image).output


def test_inspect_json_holds_everything(image: Path) -> None:
    listing = json.loads(output("inspect", "--json", image))
    fields = {field["name"]: field for field in listing["fields"]}
    assert fields["virtual_top"]["value"] == 0xFC000000
    assert fields["romEntry"]["value"] == "cb909090"
    assert {"offset": 0x100, "number": 0, "name": "CPUID", "trap": True} in listing["entry_points"]
    assert {"name": "VMI_CPUID", "offset": 0x100, "size": 4} in listing["symbols"]
    assert listing["problems"] == []


def test_files_that_are_no_rom(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is a text, and it is longer than a header\n")
    assert refusal("inspect", text).endswith("romSignature is 74 68, not the 55 AA of an option ROM")
    assert "No such file" in refusal("inspect", tmp_path / "none")
    assert "Is a directory" in refusal("inspect", tmp_path)
    assert "No such file" in refusal("scan", tmp_path / "none")
    assert "No such file" in refusal("build", "-o", tmp_path / "none" / "rom")


def test_scan_lists_what_is_found_and_what_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(bytes(0xC8000) + V13 + V3 + b"\x55\xaa\x01".ljust(512, b"\0") + bytes(0x100000))
    lines = output("scan", path).splitlines()
    assert lines[:2] == ["C8000  VMI 13.3 ROM, 8,192 bytes", "CA000  VMI 3.0 ROM, 8,192 bytes"]
    assert lines[2].startswith("CC000  passed over: hyperSignature is 00 00 00 00")
    listing = json.loads(output("scan", "--json", path))
    assert [(found["address"], found["version"]) for found in listing["found"]] == [(0xC8000, "13.3"), (0xCA000, "3.0")]
    assert [passed["address"] for passed in listing["passed_over"]] == [0xCC000]


def test_scan_of_a_part_of_memory(image: Path) -> None:
    assert output("scan", "--base", "0xD0000", image).startswith("D0000  VMI 3.0 ROM")
    assert output("scan", "--base", "0xD0010", image) == "no VMI ROM found\n"
    assert "holds nothing of C8000h to DFFFFh" in refusal("scan", image)
    assert "holds nothing of C8000h to DFFFFh" in refusal("scan", "--base", "E0000", image)


@pytest.mark.parametrize("command", [[], ["build"], ["inspect"], ["scan"]])
def test_help_shows_an_example(command: list[str]) -> None:
    assert "Example:\n" in output(*command, "--help")


def test_the_main_program_gives_the_sentence_and_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rom", "inspect", "/nowhere/vmi.rom"]) == 3
    assert capsys.readouterr().err == "pvtrace: cannot read /nowhere/vmi.rom: No such file or directory\n"

"""The registers of the i386 in the order that gdb fixes for its core feature, and flag types for the system registers.

Sources: gdb manual G.5.7; Intel SDM volume 1, 3.4 and volume 3, 2.5.
"""

from typing import Final

from gdbstub.features import Feature, Field, Flags, Register, Union, Vector

EIP, EFLAGS = 8, 9
"""Register numbers."""


def _bits(**names: int) -> tuple[Field, ...]:
    return tuple(Field(name.upper(), bit, bit) for name, bit in names.items())


EFLAGS_TYPE: Final = Flags(
    "i386_eflags",
    4,
    (
        *_bits(cf=0),
        Field("", 1, 1),
        *_bits(pf=2, af=4, zf=6, sf=7, tf=8),
        Field("IF", 9, 9),
        *_bits(df=10, of=11),
        Field("IOPL", 12, 13, "uint32"),
        *_bits(nt=14, rf=16, vm=17, ac=18, vif=19, vip=20, id=21),
    ),
)

MXCSR_TYPE: Final = Flags(
    "i386_mxcsr",
    4,
    _bits(ie=0, de=1, ze=2, oe=3, ue=4, pe=5, daz=6, im=7, dm=8, zm=9, om=10, um=11, pm=12, fz=15),
)

CR0_TYPE: Final = Flags("i386_cr0", 4, _bits(pe=0, mp=1, em=2, ts=3, et=4, ne=5, wp=16, am=18, nw=29, cd=30, pg=31))
CR3_TYPE: Final = Flags("i386_cr3", 4, (*_bits(pwt=3, pcd=4), Field("PDBR", 12, 31, "uint32")))
CR4_TYPE: Final = Flags(
    "i386_cr4",
    4,
    _bits(vme=0, pvi=1, tsd=2, de=3, pse=4, pae=5, mce=6, pge=7, pce=8, osfxsr=9, osxmmexcpt=10),
)

_GENERAL: Final = ("eax", "ecx", "edx", "ebx")
_SEGMENTS: Final = ("cs", "ss", "ds", "es", "fs", "gs")
_CONTROL: Final = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")

CORE: Final = Feature(
    "org.gnu.gdb.i386.core",
    (
        *(Register(name, 32, "int32") for name in _GENERAL),
        *(Register(name, 32, "data_ptr") for name in ("esp", "ebp")),
        *(Register(name, 32, "int32") for name in ("esi", "edi")),
        Register("eip", 32, "code_ptr"),
        Register("eflags", 32, "i386_eflags"),
        *(Register(name, 32, "int32") for name in _SEGMENTS),
        *(Register(f"st{n}", 80, "i387_ext") for n in range(8)),
        *(Register(name, 32, "int", "float") for name in _CONTROL),
    ),
    (EFLAGS_TYPE,),
)

SSE: Final = Feature(
    "org.gnu.gdb.i386.sse",
    (
        *(Register(f"xmm{n}", 128, "vec128") for n in range(8)),
        Register("mxcsr", 32, "i386_mxcsr", "vector"),
    ),
    (
        MXCSR_TYPE,
        Vector("v4f", "ieee_single", 4),
        Vector("v2d", "ieee_double", 2),
        Vector("v16i8", "int8", 16),
        Vector("v8i16", "int16", 8),
        Vector("v4i32", "int32", 4),
        Vector("v2i64", "int64", 2),
        Union(
            "vec128",
            (
                ("v4_float", "v4f"),
                ("v2_double", "v2d"),
                ("v16_int8", "v16i8"),
                ("v8_int16", "v8i16"),
                ("v4_int32", "v4i32"),
                ("v2_int64", "v2i64"),
                ("uint128", "uint128"),
            ),
        ),
    ),
)

